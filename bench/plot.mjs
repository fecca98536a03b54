import { comparisons, peers } from './report.mjs';
import { figure } from './work.mjs';

/** @typedef {import('./page/result.ts').BenchResult} Result */

const colours = {
  ours: '#0f766e',
  'another build': '#7c3aed',
  'transformers.js webgpu': '#c2410c',
  'transformers.js webgpu all on GPU': '#e2a07a',
  'transformers.js wasm': '#7c8594',
};
const ink = '#1f2937';
const faint = '#d8dde3';
const left = 190;
const width = 920;
const plotWidth = width - left - 110;

/** @param {string} text */
const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** @param {number} x @param {number} y @param {string} content @param {string} [attributes] */
const text = (x, y, content, attributes = '') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;

/** Powers of ten around some values. @param {number[]} values */
function decades(values) {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.ceil(Math.log10(Math.max(...values)));
  return { from, to: Math.max(to, from + 1) };
}

/** Bars of every work, in milliseconds on a logarithmic axis. @param {Result} result @param {number} top */
function bars(result, top) {
  const compared = comparisons(result);
  if (compared.length === 0) return { svg: '', height: 0 };
  const works = [...new Set(compared.map(c => `${c.work}\0${c.inFlight}`))];
  const { from, to } = decades(compared.flatMap(c => [c.ours, c.peer]));
  const x = (/** @type {number} */ ms) => left + (plotWidth * (Math.log10(ms) - from)) / (to - from);
  const bar = 15;
  const parts = [text(24, top, 'Milliseconds, shorter is better (logarithmic)', 'class="title"')];
  let y = top + 22;
  const began = y;
  for (const key of works) {
    const [work = '', inFlight] = key.split('\0');
    const rows = compared.filter(c => c.work === work && String(c.inFlight) === inFlight);
    const first = rows[0];
    if (!first) continue;
    parts.push(
      text(left - 12, y + 13, Number(inFlight) > 1 ? `${work}, ${inFlight} in flight` : work, 'text-anchor="end"'),
    );
    const lines = [
      { side: /** @type {const} */ ('ours'), ms: first.ours, note: '' },
      ...rows.map(row => ({ side: row.side, ms: row.peer, note: ` (${figure(row.ratio)}x)` })),
    ];
    for (const { side, ms, note } of lines) {
      parts.push(
        `<rect x="${left}" y="${y}" width="${Math.max(1, x(ms) - left).toFixed(1)}" height="${bar - 2}" rx="2" fill="${colours[side]}"/>`,
        text(x(ms) + 6, y + 11, `${figure(ms)} ms${note}`, 'class="small"'),
      );
      y += bar;
    }
    y += 11;
  }
  const grid = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i)).map(
    ms =>
      `<line x1="${x(ms).toFixed(1)}" x2="${x(ms).toFixed(1)}" y1="${began - 6}" y2="${y - 4}" stroke="${faint}"/>` +
      text(x(ms), y + 10, figure(ms), 'text-anchor="middle" class="small"'),
  );
  return { svg: [...grid, ...parts].join('\n'), height: y + 22 - top };
}

/** Milliseconds per token against the tokens of a list. @param {Result} result @param {number} top */
function line({ sweep }, top) {
  if (sweep.length < 2) return { svg: '', height: 0 };
  const height = 170;
  const most = Math.max(...sweep.map(s => s.msPerToken)) * 1.15;
  const base = top + 24 + height;
  const x = (/** @type {number} */ i) => left + (plotWidth * i) / (sweep.length - 1);
  const y = (/** @type {number} */ ms) => base - (height * ms) / most;
  const points = sweep.map((s, i) => `${x(i).toFixed(1)},${y(s.msPerToken).toFixed(1)}`);
  const parts = [
    text(24, top, 'webgpu-bert: milliseconds per token, by the tokens of a list (texts of 16 tokens)', 'class="title"'),
    ...[0, 0.5, 1].map(part => {
      const ms = (most / 1.15) * part;
      return (
        `<line x1="${left}" x2="${left + plotWidth}" y1="${y(ms).toFixed(1)}" y2="${y(ms).toFixed(1)}" stroke="${faint}"/>` +
        text(left - 12, y(ms) + 4, figure(ms), 'text-anchor="end" class="small"')
      );
    }),
    `<polyline points="${points.join(' ')}" fill="none" stroke="${colours.ours}" stroke-width="2"/>`,
    ...sweep.map(
      (s, i) =>
        `<circle cx="${x(i).toFixed(1)}" cy="${y(s.msPerToken).toFixed(1)}" r="3" fill="${colours.ours}"/>` +
        text(x(i), base + 16, String(s.tokens), 'text-anchor="middle" class="small"'),
    ),
  ];
  return { svg: parts.join('\n'), height: height + 64 };
}

/** A picture of a result, for a light background. @param {Result} result @returns {string} */
export function plot(result) {
  const top = 78;
  const upper = bars(result, top + 20);
  const lower = line(result, top + 20 + upper.height + 26);
  const height = top + 20 + upper.height + 26 + lower.height;
  const shown = peers.filter(side => result.load.some(l => l.side === side) || result.warm.some(w => w.side === side));
  const legend = /** @type {(keyof typeof colours)[]} */ (['ours', ...shown]).map((side, i) => {
    const x = 24 + i * 225;
    return `<rect x="${x}" y="56" width="12" height="12" rx="2" fill="${colours[side]}"/>${text(x + 18, 66, side === 'ours' ? 'webgpu-bert' : side)}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${Math.ceil(height)}" width="${width}" height="${Math.ceil(height)}" font-family="system-ui, sans-serif" font-size="13" fill="${ink}">
<style>.title { font-weight: 600 } .small { font-size: 11px }</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${text(24, 26, `${result.browser}, ${result.adapter}`, 'font-size="16" font-weight="600"')}
${text(24, 45, `${result.model}; ${result.processor}; ${result.date}`, 'class="small"')}
${legend.join('\n')}
${upper.svg}
${lower.svg}
</svg>
`;
}
