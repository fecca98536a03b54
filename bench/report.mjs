import { figure, round } from './work.mjs';

/** @typedef {import('./page/result.ts').BenchResult} Result */
/** @typedef {import('./page/sides.ts').Side} Side */

/** @type {Side[]} */
export const peers = ['transformers.js webgpu', 'transformers.js webgpu all on GPU', 'transformers.js wasm'];

/** The model file of every side of transformers.js, in words. @type {Record<string, string>} */
const fileWords = {
  'transformers.js webgpu': "model.onnx: as onnxruntime's optimizer fuses it; its attention is computed on the CPU",
  'transformers.js webgpu all on GPU':
    'model_webgpu.onnx: the same, the mask as a bias, so that attention is computed on the GPU',
  'transformers.js wasm': "model.onnx: as onnxruntime's optimizer fuses it",
};

/** @param {readonly number[]} values */
const median = values => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
/** @param {number} bytes */
const mb = bytes => `${figure(bytes / 1e6)} MB`;

/**
 * @typedef {{ work: string, ours: number, peer: number, side: Side, ratio: number, inFlight: number }} Comparison
 * Milliseconds of both sides from one run, and how many times as long the peer takes.
 */

/** @param {Result} result @returns {Comparison[]} */
export function comparisons({ warm, load }) {
  /** @type {Comparison[]} */
  const found = [];
  for (const [name, when] of /** @type {const} */ ([
    ['first embedding, cold', 'cold'],
    ['first embedding, cached', 'cached'],
  ])) {
    const of = (/** @type {Side} */ side) =>
      median((load.find(entry => entry.side === side)?.[when] ?? []).map(run => run.firstEmbeddingMs));
    for (const side of [...peers, /** @type {Side} */ ('another build')])
      found.push(compare(name, of('ours'), of(side), side, 1));
  }
  for (const theirs of warm) {
    if (theirs.side === 'ours') continue;
    const ours = warm.find(
      w => w.side === 'ours' && w.against === theirs.side && w.work === theirs.work && w.inFlight === theirs.inFlight,
    );
    if (ours) found.push(compare(theirs.work, ours.medianMs, theirs.medianMs, theirs.side, theirs.inFlight));
  }
  return found.filter(({ ratio }) => Number.isFinite(ratio));
}

/** @param {string} work @param {number} ours @param {number} peer @param {Side} side @param {number} inFlight @returns {Comparison} */
const compare = (work, ours, peer, side, inFlight) => ({ work, ours, peer, side, ratio: peer / ours, inFlight });

/** Of every work that both WebGPU files did, the smaller ratio. @param {readonly Comparison[]} compared @returns {string[]} */
function strongestOf(compared) {
  const onGpu = compared.filter(({ side }) => !side.endsWith('wasm'));
  const workOf = (/** @type {Comparison} */ c) => (c.inFlight > 1 ? `${c.work}, ${c.inFlight} in flight` : c.work);
  return [...new Set(onGpu.map(workOf))].flatMap(work => {
    const [least, other] = onGpu.filter(c => workOf(c) === work).toSorted((x, y) => x.ratio - y.ratio);
    return least && other ? [`${work} ${figure(least.ratio)}x`] : [];
  });
}

/**
 * A markdown table, padded to be read as text too; the first column, or all of `left`, to the left.
 * @param {readonly string[]} head @param {readonly (readonly string[])[]} rows @param {readonly number[]} [left]
 */
export function table(head, rows, left = [0]) {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map(row => row[i]?.length ?? 0)));
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (left.includes(i) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** @param {Result} result @returns {string} */
export function markdown(result) {
  const { load, warm, sweep, kernels, long = [], worker, tilings = [], polls, floorMs } = result;
  const parts = [
    `# ${result.browser}, ${result.adapter}`,
    `${result.date}, webgpu-bert ${result.version} against ${result.peer}, ${result.model}, on ${result.processor}.`,
  ];
  if (polls) {
    parts.push(
      `This browser looks for finished GPU work only about every ${Math.round(floorMs)} ms, and whenever something is submitted, which ` +
        'webgpu-bert does every few milliseconds while it waits. The times of single calls of the other side end at such a look; calls in flight share it.',
    );
  }

  const compared = comparisons(result);
  if (compared.length > 0) {
    const shown = (/** @type {number} */ ms, /** @type {boolean} */ isStepped) =>
      `${isStepped ? '~' : ''}${figure(ms)} ms`;
    parts.push(
      '## Side by side\n',
      table(
        ['work', 'against', 'webgpu-bert', 'the other', 'ratio'],
        compared.map(({ work, side, ours, peer, ratio, inFlight }) => {
          const isStepped = polls && inFlight === 1 && !work.startsWith('first');
          return [
            inFlight > 1 ? `${work}, ${inFlight} in flight, each` : work,
            side.replace('transformers.js ', ''),
            shown(ours, isStepped),
            shown(peer, isStepped && !side.endsWith('wasm')),
            `${isStepped ? '~' : ''}${figure(ratio)}x`,
          ];
        }),
        [0, 1],
      ),
    );
    const strongest = strongestOf(compared);
    if (strongest.length > 0) parts.push(`Against the faster of its two WebGPU files: ${strongest.join('; ')}.`);
  } else if (warm.length > 0) {
    parts.push(
      '## Warm calls\n',
      table(
        ['work', 'ms'],
        warm.map(w => [w.inFlight > 1 ? `${w.work}, ${w.inFlight} in flight, each` : w.work, figure(w.medianMs)]),
      ),
    );
  }
  const asked = warm.filter(w => w.gpu && w.inFlight === 1 && w.work === warm[0]?.work);
  const seen = [...new Map(asked.map(w => [w.side, w])).values()].filter(w => !w.side.endsWith('wasm'));
  if (seen.some(w => w.side !== 'ours')) {
    parts.push(
      `## What a warm call of ${seen[0]?.work} asks of the GPU\n`,
      table(
        ['side', 'dispatches', 'submits', 'mapAsync', 'model file'],
        seen.map(({ side, gpu }) => [
          side,
          ...[gpu?.dispatches, gpu?.submits, gpu?.maps].map(String),
          fileWords[side] ?? 'model.safetensors',
        ]),
        [0, 4],
      ),
    );
  }
  if (load.length > 0) {
    const rows = load.flatMap(({ side, cold, cached }) =>
      /** @type {const} */ ([
        ['cold', cold],
        ['cached', cached],
      ]).map(([name, runs]) => {
        const of = (/** @type {(run: typeof runs[number]) => number} */ pick) => median(runs.map(pick));
        const heap = runs.map(run => run.meters.heapPeakBytes ?? Number.NaN);
        return [
          `${side}, ${name}`,
          ...[of(r => r.firstEmbeddingMs), of(r => r.moduleMs), of(r => r.loadMs), of(r => r.callMs)].map(figure),
          mb(of(r => r.bytes)),
          side.endsWith('wasm') ? '-' : String(of(r => r.meters.pipelines)),
          side.endsWith('wasm') ? '-' : mb(of(r => r.meters.gpuBytes)),
          side.endsWith('wasm') ? '-' : mb(of(r => r.meters.gpuBytesPeak)),
          heap.some(Number.isNaN) ? '-' : mb(median(heap)),
        ];
      }),
    );
    parts.push(
      '## Blank page to first embedding\n',
      table(
        ['side', 'ms', 'module', 'load', 'call', 'downloaded', 'pipelines', 'GPU', 'GPU peak', 'JS heap peak'],
        rows,
      ),
    );
    const reported = load.find(({ side }) => side === 'ours')?.cold[0];
    if (reported?.reported) {
      const { weights, activations } = reported.reported;
      parts.push(
        `Of the GPU bytes, webgpu-bert says of itself: weights ${mb(weights)}, activations ${mb(activations)}; together ${weights + activations} bytes, counted at createBuffer and destroy ${reported.meters.gpuBytes}.`,
      );
    }
  }
  if (sweep.length > 0) {
    const [first] = sweep;
    parts.push(
      '## Time per token, lists of texts of 16 tokens\n',
      table(
        ['tokens', 'ms', 'ms per token', 'of the first', 'runs'],
        sweep.map(s => [
          String(s.tokens),
          figure(s.medianMs),
          figure(s.msPerToken),
          `${round((100 * s.msPerToken) / (first?.msPerToken ?? 1), 0)} %`,
          String(s.runs),
        ]),
      ),
    );
  }
  if (kernels) {
    parts.push(
      `## Kernels\n\nMultiply-add peak: ${figure(kernels.peakGflops)} GFLOP/s at the median, ${figure(kernels.bestPeakGflops)} at best. ` +
        'Each kernel is held against what was measured in turns with it.',
    );
    for (const pass of kernels.passes) {
      const call = warm.find(w => w.work === pass.name && w.side === 'ours' && w.inFlight === 1);
      // Kernels measured alone can come out a little slower than in their pass: then the share is 100 %.
      const share =
        call && !polls ? `, ${round(100 * Math.min(1, pass.ms / call.medianMs), 0)} % of the warm call` : '';
      parts.push(
        `### ${pass.name}: ${pass.tokens} tokens, ${figure(pass.ms)} ms of kernels${share}\n`,
        table(
          ['kernel', 'times', 'ms each', 'ms', 'GFLOP/s', 'of peak'],
          pass.kernels.map(k => [
            k.kernel,
            String(k.dispatches),
            figure(k.ms),
            figure(k.ms * k.dispatches),
            k.gflops ? figure(k.gflops) : '-',
            k.ofPeak ? `${Math.round(100 * k.ofPeak)} %` : '-',
          ]),
        ),
      );
    }
  }
  if (long.length > 0) {
    const perToken = (/** @type {number} */ ms, /** @type {number} */ tokens) => figure((1000 * ms) / tokens);
    parts.push(
      '## One long text\n\nModernBERT, 6 layers, 384 columns; two layers look at all keys, four at 64 to either side. Kernels alone, ' +
        'of attention up to 64 tiles.\n',
      table(
        ['tokens', 'global layer, ms', 'us per token', 'sliding layer, ms', 'us per token', 'whole pass, ms'],
        long.map(({ tokens, globalMs, slidingMs, passMs }) => [
          String(tokens),
          figure(globalMs),
          perToken(globalMs, tokens),
          figure(slidingMs),
          perToken(slidingMs, tokens),
          figure(passMs),
        ]),
      ),
    );
  }
  if (worker) {
    const { date, browser, adapter, processor, loadAverage, own, figures, floor } = worker;
    const tasks = (/** @type {number | undefined} */ count) => (count === undefined ? '-' : String(count));
    parts.push(
      `## How long the page is held\n\n${date}, ${browser}, ${adapter}, on ${processor}. MiniLM is loaded, then embeds ` +
        `${figures[0]?.texts} texts of 5 to 20 tokens (${figures[0]?.tokens} together): the longest time that the page's thread does ` +
        'nothing else, and tasks of more than 50 ms. The last line has no library, and workers that keep every core busy: what the ' +
        `machine itself holds a page for. Its load average was ${figure(loadAverage)}; above 1, times are those of a machine that is not quiet. ` +
        `In the worker, the page's own share of the call: ${figure(own.handOverMs)} ms to hand the texts over, ${figure(own.takeMs)} ms to ` +
        'take the result.\n',
      table(
        ['entry', 'load, s', 'longest, ms', 'tasks', 'call, s', 'longest, ms', 'tasks'],
        [
          ...figures.map(({ entry, load, call }) => [
            entry,
            ...[load, call].flatMap(held => [figure(held.ms / 1000), figure(held.longestMs), tasks(held.longTasks)]),
          ]),
          ['every core busy', '', '', '', figure(floor.ms / 1000), figure(floor.longestMs), tasks(floor.longTasks)],
        ],
      ),
    );
  }
  if (tilings.length > 0) {
    const passes = [...new Set(tilings.map(({ pass }) => pass))];
    const labels = [...new Set(tilings.map(({ tiling }) => tiling))];
    parts.push(
      '## Linears of a pass by tiling, ms\n\nIn brackets how many times as long as with the first, which the library chooses.\n',
      table(
        ['tiling', ...passes],
        labels.map(label => [
          label,
          ...passes.map(pass => {
            const cell = tilings.find(t => t.tiling === label && t.pass === pass);
            return cell ? `${figure(cell.ms)} (${figure(cell.ofDefault)})` : '-';
          }),
        ]),
      ),
    );
  }
  return `${parts.join('\n\n').replaceAll('\n\n\n', '\n\n')}\n`;
}
