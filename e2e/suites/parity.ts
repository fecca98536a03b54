import type { ModelCallOptions, ModelInputs, PreTrainedTokenizer, Tensor } from '../../src/index.ts';
import { check, expect, expectClose, expectEqual, expectSameBits } from '../harness.ts';
import { addressOf, fetchJson, library, MINILM, once, ownDevice } from '../library.ts';

/** Whole models against float64 results of PyTorch: ids, offsets and every output that the fixture has. */

const { AutoModel, AutoTokenizer, pipeline } = library;

interface Numbers {
  shape: number[];
  data: number[];
}
interface Case {
  text: string;
  text_pair: string | null;
  input_ids: number[];
  token_type_ids?: number[];
  tokens: string[];
  offsets: [number, number][];
  special: number[];
  outputs: Record<string, Numbers | Numbers[]>;
}
/** What any model gives, by Python's names. */
type Outputs = Readonly<Record<string, Tensor | readonly Tensor[] | undefined>>;
type Model = (inputs: ModelInputs, options?: ModelCallOptions) => Promise<object>;
interface Loaded {
  cases: Case[];
  tokenizer: PreTrainedTokenizer;
  run(inputs: ModelInputs): Promise<Outputs>;
}

/** Folders of tests/fixtures/random, with the class that Python used. */
const FIXTURES: { folder: string; load: (from: string) => Promise<Model> }[] = [
  { folder: 'bert-base', load: AutoModel.from_pretrained },
  { folder: 'bert-cased-tanh-gelu-base', load: AutoModel.from_pretrained },
];

/** Of |x| + 1: float32 through a few layers is good to 1e-6; the models' inputs to softmax and GELU are small numbers. */
const TOLERANCE = { absolute: 1e-4, relative: 1e-4 };
const EVERYTHING = { output_attentions: true, output_hidden_states: true };

const url = (folder: string) => addressOf(`/fixtures/random/${folder}/`);
const numbers = (list: unknown): number[] => (list as (number | bigint)[]).map(Number);

/** The part of a padded result that belongs to row b: the first L along every axis that is as long as the padding. */
function ofRow(tensor: Tensor, b: number, { shape }: Numbers): ArrayLike<number> {
  const bounds = shape.slice(1).map((n): [number, number] => [0, n]);
  return tensor.slice(b, ...bounds).data as Float32Array;
}

const listed = (value: Tensor | readonly Tensor[] | undefined): readonly Tensor[] =>
  value === undefined ? [] : 'dims' in value ? [value] : value;

function compare(outputs: Outputs, b: number, { text, outputs: expected }: Case): number {
  let worst = 0;
  for (const [name, wanted] of Object.entries(expected)) {
    const got = outputs[name];
    expect(got, `there is no output ${name}`);
    const many = Array.isArray(wanted) ? wanted : [wanted];
    const tensors = listed(got);
    expectEqual(tensors.length, many.length, `the number of ${name}`);
    many.forEach((one, i) => {
      const label = `${name}${many.length > 1 ? `[${i}]` : ''} of ${JSON.stringify(text.slice(0, 30))}`;
      expectEqual(tensors[i]!.dims.length, one.shape.length, `dims of ${label}`);
      worst = Math.max(worst, expectClose(ofRow(tensors[i]!, b, one), one.data, { label, ...TOLERANCE }));
    });
  }
  return worst;
}

for (const { folder, load } of FIXTURES) {
  const loaded = once<Loaded>(async () => {
    const [{ cases }, tokenizer, model] = await Promise.all([
      fetchJson<{ cases: Case[] }>(`${url(folder)}expected.json`),
      AutoTokenizer.from_pretrained(url(folder)),
      load(url(folder)),
    ]);
    return { cases, tokenizer, run: async inputs => (await model(inputs, EVERYTHING)) as Outputs };
  });

  check(`${folder}: ids, types, tokens, offsets`, async log => {
    const { cases, tokenizer } = await loaded();
    for (const { text, text_pair, ...expected } of cases) {
      const options = { truncation: true, return_offsets_mapping: true, return_special_tokens_mask: true } as const;
      const row = tokenizer(text, { text_pair, ...options, return_tensor: false });
      const label = JSON.stringify(text.slice(0, 30));
      expectEqual(row.input_ids, expected.input_ids, `ids of ${label}`);
      if (expected.token_type_ids) expectEqual(row.token_type_ids, expected.token_type_ids, `types of ${label}`);
      expectEqual(tokenizer.convert_ids_to_tokens(row.input_ids), expected.tokens, `tokens of ${label}`);
      expectEqual(row.offset_mapping, expected.offsets, `offsets of ${label}`);
      expectEqual(row.special_tokens_mask, expected.special, `special tokens of ${label}`);
    }
    log(`${cases.length} texts`);
  });

  check(`${folder}: every output, text by text`, async log => {
    const { cases, tokenizer, run } = await loaded();
    let worst = 0;
    for (const each of cases) {
      const outputs = await run(tokenizer(each.text, { text_pair: each.text_pair, truncation: true }));
      for (const [name, wanted] of Object.entries(each.outputs)) {
        const dims = listed(outputs[name]).map(tensor => tensor.dims);
        expectEqual(
          dims,
          [wanted].flat().map(({ shape }) => shape),
          `dims of ${name}`,
        );
      }
      worst = Math.max(worst, compare(outputs, 0, each));
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });

  for (const side of ['right', 'left'] as const) {
    check(`${folder}: every output, one batch padded on the ${side}`, async log => {
      const { cases, tokenizer, run } = await loaded();
      const single = cases.filter(({ text_pair }) => text_pair === null);
      tokenizer.padding_side = side;
      const inputs = tokenizer(
        single.map(({ text }) => text),
        { truncation: true, padding: true },
      );
      tokenizer.padding_side = 'right';
      expect(inputs.input_ids.dims[1] === 64, 'the longest row has not 64 tokens');
      // Left padding moves the tokens; Python then wants the places named.
      const position_ids = numbers([...inputs.attention_mask.data]).map((_, i, mask) => {
        const row = mask.slice(64 * Math.floor(i / 64), i + 1);
        return Math.max(0, row.reduce((a, b) => a + b, 0) - 1);
      });
      const rows = single.map((_, b) => position_ids.slice(64 * b, 64 * (b + 1)));
      const outputs = await run({ ...inputs, position_ids: rows });
      let worst = 0;
      single.forEach((each, b) => {
        const shift = side === 'left' ? 64 - each.input_ids.length : 0;
        const flipped = shift === 0 ? outputs : moved(outputs, shift);
        worst = Math.max(worst, compare(flipped, b, each));
        const L = each.input_ids.length;
        const padding = side === 'left' ? ([0, 64 - L] as const) : ([L, 64] as const);
        for (const tensor of [outputs.last_hidden_state, outputs.hidden_states].flatMap(listed)) {
          const row = tensor.slice(b, padding).data as Float32Array;
          expect(
            row.every(v => v === 0),
            'the padding is not zero',
          );
        }
      });
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  check(`${folder}: every output, ragged lists`, async log => {
    const { cases, run } = await loaded();
    const input_ids = cases.map(each => each.input_ids);
    const token_type_ids = cases.map(each => each.token_type_ids ?? each.input_ids.map(() => 0));
    const outputs = await run({ input_ids, token_type_ids });
    for (const { dims } of listed(outputs.last_hidden_state)) expectEqual(dims.slice(0, 2), [cases.length, 64], 'dims');
    const worst = cases.map((each, b) => compare(outputs, b, each));
    log(`largest difference ${Math.max(...worst).toExponential(1)}`);
  });
}

/** The outputs with the first `shift` places of every axis of tokens cut away: every one of 64 behind the batch. */
function moved(outputs: Outputs, shift: number): Outputs {
  const cut = (tensor: Tensor) =>
    tensor.slice(...tensor.dims.map((n, axis) => (axis > 0 && n === 64 ? ([shift, null] as const) : null)));
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [name, value && ('dims' in value ? cut(value) : value.map(cut))]),
  );
}

/** An adapter that does not say that it is software gets the kernels of a GPU. */
async function unknownDevice(): Promise<GPUDevice> {
  const device = await ownDevice();
  Object.defineProperty(device, 'adapterInfo', {
    value: { vendor: 'any', architecture: '', device: '', description: '' },
  });
  return device;
}

check('bert-base with the kernels of a real GPU', async log => {
  const device = await unknownDevice();
  const model = await AutoModel.from_pretrained(url('bert-base'), { device });
  const { cases } = await fetchJson<{ cases: Case[] }>(`${url('bert-base')}expected.json`);
  const token_type_ids = cases.map(each => each.token_type_ids ?? []);
  const inputs = { input_ids: cases.map(each => each.input_ids), token_type_ids };
  const outputs = (await model(inputs)) as unknown as Outputs;
  // The variant that also gives the probabilities is the kernel tests' matter.
  const worst = cases.map((each, b) => {
    const { last_hidden_state, pooler_output } = each.outputs;
    return compare(outputs, b, {
      ...each,
      outputs: { last_hidden_state: last_hidden_state!, pooler_output: pooler_output! },
    });
  });
  await model.dispose();
  device.destroy();
  log(`largest difference ${Math.max(...worst).toExponential(1)}`);
});

interface MiniCase {
  text: string;
  input_ids: number[];
  offsets: [number, number][];
  embedding: number[];
}
const minilm = once(async () => {
  const { cases } = await fetchJson<{ cases: MiniCase[] }>('/fixtures/all-MiniLM-L6-v2.json');
  return { cases, extractor: await pipeline('feature-extraction', MINILM) };
});

check('all-MiniLM-L6-v2: every id, every offset', async log => {
  const { cases, extractor } = await minilm();
  for (const { text, input_ids, offsets } of cases) {
    const options = { truncation: true, max_length: 512, return_offsets_mapping: true, return_tensor: false } as const;
    const row = extractor.tokenizer(text, options);
    expectEqual(row.input_ids, input_ids, `ids of ${JSON.stringify(text.slice(0, 30))}`);
    expectEqual(row.offset_mapping, offsets, `offsets of ${JSON.stringify(text.slice(0, 30))}`);
  }
  log(`${cases.length} texts`);
});

check('all-MiniLM-L6-v2: embeddings within 1e-5 of float64', async log => {
  const { cases, extractor } = await minilm();
  const texts = cases.map(({ text }) => text);
  const out = await extractor(texts, { pooling: 'mean', normalize: true });
  expectEqual(out.dims, [cases.length, 384], 'dims');
  const rows = out.tolist() as number[][];
  const worst = cases.map(({ text, embedding }, i) =>
    expectClose(rows[i]!, embedding, { label: JSON.stringify(text.slice(0, 30)), absolute: 1e-5 }),
  );
  for (const i of [0, 6, 13]) {
    const alone = await extractor(texts[i]!, { pooling: 'mean', normalize: true });
    expectSameBits([...(alone.data as Float32Array)], rows[i], `bits of text ${i}, alone and in the batch`);
  }
  log(`largest difference ${Math.max(...worst).toExponential(1)}`);
});
