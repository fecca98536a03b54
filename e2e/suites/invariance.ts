import type { Tensor } from '../../src/index.ts';
import { liveBuffers, takeCounts } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits } from '../harness.ts';
import { BERT, library, once, ownDevice } from '../library.ts';

/** What must not change anything, and what a call may cost. */

const MEAN = { pooling: 'mean', normalize: true } as const;
const WORDS = 'Paris is the capital of France and a tower stands there since the fair of eighteen eighty nine'.split(
  ' ',
);

/** Texts of 3 to about 60 tokens, each its own. */
const TEXTS = Array.from({ length: 20 }, (_, i) =>
  Array.from({ length: 1 + ((7 * i) % 19) }, (_, j) => WORDS[(i + 5 * j) % WORDS.length]).join(' '),
);

const loaded = once(async () => {
  const device = await ownDevice();
  const extractor = await library.pipeline('feature-extraction', BERT, { device });
  return { device, extractor };
});

type Extract = (texts: string[], options: typeof MEAN) => Promise<Tensor>;
const rowsOf = async (extractor: Extract, texts: string[]) => (await extractor(texts, MEAN)).tolist() as number[][];

check('the first call after loading creates nothing', async () => {
  const { extractor } = await loaded();
  takeCounts();
  await extractor(['Paris is the capital of France.', 'a'], MEAN);
  const counts = takeCounts();
  const expected = {
    createBuffer: 0,
    createTexture: 0,
    createBindGroup: 0,
    createComputePipelineAsync: 0,
    createShaderModule: 0,
  };
  expectEqual(counts, { ...expected, submit: 1, mapAsync: 1 }, 'calls');
});

check('a warm call: 0 buffers, 0 bind groups, 1 submit, 1 map', async () => {
  const { extractor } = await loaded();
  const none = {
    createBuffer: 0,
    createTexture: 0,
    createBindGroup: 0,
    createComputePipelineAsync: 0,
    createShaderModule: 0,
  };
  await extractor(TEXTS, MEAN);
  for (const texts of [TEXTS, TEXTS.slice(3, 9), TEXTS.slice(0, 1)]) {
    takeCounts();
    await extractor(texts, MEAN);
    expectEqual(takeCounts(), { ...none, submit: 1, mapAsync: 1 }, `calls for ${texts.length} texts`);
  }
  const { model, tokenizer } = extractor;
  const inputs = tokenizer(TEXTS, { padding: true });
  const everything = { output_attentions: true, output_hidden_states: true };
  await model(inputs, everything);
  takeCounts();
  await model(inputs, everything);
  expectEqual(takeCounts(), { ...none, submit: 1, mapAsync: 1 }, 'calls for every output');
});

check('alone, in a batch, at any place in it: the same bits', async () => {
  const { extractor } = await loaded();
  const together = await rowsOf(extractor, TEXTS);
  const alone: number[][] = [];
  for (const text of TEXTS) alone.push((await rowsOf(extractor, [text]))[0]!);
  expectSameBits(together, alone, 'together and alone');
  for (const by of [1, 7, 13]) {
    const turned = await rowsOf(extractor, [...TEXTS.slice(by), ...TEXTS.slice(0, by)]);
    expectSameBits([...turned.slice(-by), ...turned.slice(0, -by)], alone, `turned by ${by}`);
  }
});

check('several passes: in order, the same bits', async log => {
  const { extractor } = await loaded();
  const alone = await rowsOf(extractor, TEXTS);
  const many = Array.from({ length: 260 }, (_, i) => TEXTS[(3 * i) % TEXTS.length]!);
  takeCounts();
  const rows = await rowsOf(extractor, many);
  const { submit, mapAsync } = takeCounts();
  expect(submit > 2, `${submit} passes: the list was to be longer than the token budget`);
  expectEqual(mapAsync, submit, 'maps, one a pass');
  expectSameBits(
    rows,
    many.map((_, i) => alone[(3 * i) % TEXTS.length]!),
    'several passes and one',
  );
  log(`${submit} passes`);
});

check('the same with every output of a model', async () => {
  const { extractor } = await loaded();
  const { model, tokenizer } = extractor;
  const everything = { output_attentions: true, output_hidden_states: true };
  const ids = TEXTS.map(text => tokenizer.encode(text));
  const together = await model({ input_ids: ids }, everything);
  for (const b of [0, 7, 19]) {
    const L = ids[b]!.length;
    const alone = await model({ input_ids: [ids[b]!] }, everything);
    const pairs = [
      [together.last_hidden_state.slice(b, [0, L]), alone.last_hidden_state],
      [together.pooler_output!.slice(b), alone.pooler_output!],
      ...together.hidden_states!.map((t, i) => [t.slice(b, [0, L]), alone.hidden_states![i]!]),
      ...together.attentions!.map((t, i) => [t.slice(b, null, [0, L], [0, L]), alone.attentions![i]!]),
    ];
    // A slice of a batch lacks the first dimension that a batch of one has.
    for (const [a, e] of pairs) expectSameBits(a, e!.slice(0), `row ${b}`);
  }
});

check('calls at the same time give what they give one after the other', async () => {
  const { extractor } = await loaded();
  const [first, second] = [TEXTS.slice(0, 11), Array.from({ length: 130 }, (_, i) => TEXTS[(11 + i) % 20]!)];
  const sequential = [await rowsOf(extractor, first), await rowsOf(extractor, second)];
  const tokens = (await extractor(first)).tolist();
  const [a, b, c, d] = await Promise.all([
    rowsOf(extractor, first),
    rowsOf(extractor, second),
    extractor(first),
    rowsOf(extractor, first),
  ]);
  expectSameBits(a, sequential[0]!, 'first');
  expectSameBits(b, sequential[1]!, 'second');
  expectSameBits(d, sequential[0]!, 'fourth');
  expectSameBits(c.tolist(), tokens, 'third, without pooling');
});

check('eight calls at once: one pass, nothing is made, the same bits as alone', async () => {
  const { extractor } = await loaded();
  const texts = TEXTS.slice(4, 12);
  const alone: number[][] = [];
  for (const text of texts) alone.push((await rowsOf(extractor, [text]))[0]!);
  const together = async () => (await Promise.all(texts.map(text => rowsOf(extractor, [text])))).flat();
  expectSameBits(await together(), alone, 'eight calls');
  takeCounts();
  expectSameBits(await together(), alone, 'eight calls, warm');
  const none = {
    createBuffer: 0,
    createTexture: 0,
    createBindGroup: 0,
    createComputePipelineAsync: 0,
    createShaderModule: 0,
  };
  expectEqual(takeCounts(), { ...none, submit: 1, mapAsync: 1 }, 'calls to the GPU');
});

check(
  'calls that arrive one by one beside a long list: few passes, the same bits, the list does not hold them up',
  async log => {
    const { extractor } = await loaded();
    const alone = await rowsOf(extractor, TEXTS);
    const many = Array.from({ length: 400 }, (_, i) => TEXTS[(3 * i) % TEXTS.length]!);
    await rowsOf(extractor, many);
    takeCounts();
    await rowsOf(extractor, many);
    const { submit: least } = takeCounts();
    const ended: string[] = [];
    const long = rowsOf(extractor, many).finally(() => ended.push('long'));
    const stop = new AbortController();
    const aborted = extractor(many, { ...MEAN, signal: stop.signal }).catch((error: unknown) => error);
    const short: Promise<number[][]>[] = [];
    for (let i = 0; i < 8; i++) {
      short.push(rowsOf(extractor, TEXTS.slice(i, i + 2)).finally(() => ended.push('short')));
      await new Promise(resolve => setTimeout(resolve));
      if (i === 4) stop.abort();
    }
    expectSameBits(
      await long,
      many.map((_, i) => alone[(3 * i) % TEXTS.length]!),
      'the long list',
    );
    for (const [i, rows] of (await Promise.all(short)).entries())
      expectSameBits(rows, alone.slice(i, i + 2), `call ${i}`);
    expectEqual(((await aborted) as Error).name, 'AbortError', 'the aborted call');
    expectEqual(ended, [...Array(8).fill('short'), 'long'], 'who ended first');
    const { submit, mapAsync } = takeCounts();
    expectEqual(mapAsync, submit, 'maps, one a pass');
    // The aborted call was in a few passes before it went; each of the short ones alone would be eight more.
    expect(submit < least + 8, `${submit} passes, the list alone has ${least}`);
    log(`${submit} passes, of the list alone ${least}`);
  },
);

check('different requests at once, through a model and a pipeline: each gets its own, the same bits', async () => {
  const { extractor } = await loaded();
  const { model, tokenizer } = extractor;
  const ids = TEXTS.slice(0, 6).map(text => tokenizer.encode(text));
  const everything = { output_attentions: true, output_hidden_states: true };
  const calls: (() => Promise<unknown>)[] = [
    ...ids.map(row => async () => {
      const { last_hidden_state, hidden_states, attentions } = await model({ input_ids: [row] }, everything);
      return [last_hidden_state, ...hidden_states!, ...attentions!].map(tensor => tensor.tolist());
    }),
    ...ids.map(row => async () => (await model({ input_ids: [row] })).pooler_output!.tolist()),
    ...(['mean', 'cls', 'max'] as const).map(pooling => async () => (await extractor(TEXTS, { pooling })).tolist()),
    async () => (await extractor(TEXTS.slice(3, 9))).tolist(),
  ];
  const alone: unknown[] = [];
  for (const call of calls) alone.push(await call());
  const together = await Promise.all(calls.map(call => call()));
  together.forEach((given, i) => {
    expectSameBits(given, alone[i], `call ${i}`);
  });
});

check(
  'the bytes that a model reports are those that it holds; a short call after a long one needs no more',
  async log => {
    const { device } = await loaded();
    const others = liveBuffers(device);
    const model = await library.AutoModel.from_pretrained(BERT, { device });
    const told = async (label: string) => {
      const { weights, activations } = await model.bytes();
      expectEqual(weights + activations, liveBuffers(device).bytes - others.bytes, `bytes held, ${label}`);
      return { weights, activations };
    };
    const first = await told('loaded');
    // All float32 tensors of the file, and nothing of it twice; on a software adapter lines of textures are filled up.
    const { byteLength } = await (await fetch(`${BERT}model.safetensors`)).arrayBuffer();
    expect(
      first.weights > byteLength / 2 && first.weights < 2 * byteLength + (1 << 20),
      `${first.weights} of ${byteLength}`,
    );
    const long = { input_ids: Array.from({ length: 9 }, () => Array<number>(60).fill(5)) };
    await model(long);
    const after = await told('after 9 x 60 tokens');
    expect(after.activations > first.activations, `${after.activations} after ${first.activations}`);
    expectEqual(after.weights, first.weights, 'weights');
    for (const input_ids of [[[5, 6]], long.input_ids]) {
      await model({ input_ids });
      expectEqual(await told('after another call'), after, 'what is held after another call');
    }
    await model.dispose();
    expectEqual(liveBuffers(device).labels, others.labels, 'buffers left after dispose()');
    log(`${after.weights} bytes of weights, ${after.activations} of activations`);
  },
);
