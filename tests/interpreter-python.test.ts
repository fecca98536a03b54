import { readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { unpadInputs } from '../src/api/inputs.ts';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { readTokenizerFiles } from '../src/api/tokenizer-files.ts';
import { openSentence } from '../src/engine/sentence-files.ts';
import { UnsupportedError } from '../src/errors.ts';
import type { Json } from '../src/json.ts';
import { MODEL_TYPES } from '../src/model/config.ts';
import { checkSequence, type EncoderRequest, encoderGraph, type HeadKind, modelTypeOf } from '../src/model/index.ts';
import type { Graph, Sequence } from '../src/plan/index.ts';
import { fetchModel } from '../weights/fetch.mjs';
import { folderSource, type LoadedCheckpoint, loadCheckpoint } from './checkpoint-folder.ts';
import { givenFixtures } from './given-fixtures.ts';
import { type Interpretation, interpret, type Matrix } from './interpreter.ts';

/** What one float32 step may cost: 2^-24 of an angle of some radians, or of a score, through a few layers. */
const FLOAT32_STEP = 1e-5;
/** What several in every layer may cost: Gemma's norms. The tiny checkpoints were computed without them. */
const FLOAT32_NORMS = 5e-5;

/**
 * Whole checkpoints, from their files to every output, in float64, against what Python computed from the same float32 weights in
 * float64. Where no step is float32 in Python, what remains is the rounding of float64 (some 1e-14), and that of the numbers in the
 * fixtures: they keep `digits` significant digits, of which half a unit of the last is allowed beyond the tolerance. Python computes the
 * angles of rotary positions in float32 whatever the type of the model, and so DeBERTa's scale of scores and norms; such families get
 * FLOAT32_STEP.
 */
interface FixtureSet {
  readonly name: string;
  readonly folders: readonly URL[];
  readonly digits: number;
  /** Of |actual - expected| / (1 + |expected|). */
  readonly tolerance: number;
}

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
/** Some rows of logits [1, L, V]. */
interface SomeRows extends Numbers {
  readonly rows: readonly number[];
}
/** One sequence. */
interface Case {
  readonly input_ids: readonly number[];
  readonly token_type_ids: readonly number[] | null;
  readonly attention_mask?: readonly number[];
  /** The task whose weights it was computed with. */
  readonly default_task?: string;
  /** By Python's names; `{name}_rows` are some rows of an output, `{name}_argmax` the places of the greatest of every row. */
  readonly outputs: Readonly<Record<string, Numbers | readonly Numbers[] | SomeRows | readonly number[]>>;
}
interface Expected {
  readonly cls: string;
  readonly cases: readonly Case[];
}

const fixtures = new URL('./fixtures/', import.meta.url);
const readJson = (url: URL): unknown => JSON.parse(readFileSync(url, 'utf8'));

/** Folders of a folder. */
const foldersIn = (folder: URL): URL[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => new URL(`${entry.name}/`, folder));
const nameOf = (folder: URL) => folder.pathname.split('/').at(-2)!;

/** Whose config.json is of a family that is built. */
function isBuilt(folder: URL): boolean {
  try {
    return modelTypeOf(readJson(new URL('config.json', folder)) as Json, MODEL_TYPES) !== '';
  } catch (error) {
    if (error instanceof UnsupportedError) return false;
    throw error;
  }
}

/** Half a unit of the last digit of a number with so many significant digits. */
const rounding = (x: number, digits: number): number =>
  x === 0 ? 0 : 0.5 * 10 ** (Math.floor(Math.log10(Math.abs(x))) + 1 - digits);

/** The largest |a - e| / (1 + |e|), beyond what the fixture's rounding explains; NaN where the lists differ in length. */
function difference(actual: ArrayLike<number>, expected: ArrayLike<number>, digits: number): number {
  if (actual.length !== expected.length) return Number.NaN;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!;
    // Math.max keeps NaN.
    worst = Math.max(worst, (Math.abs(actual[i]! - e) - rounding(e, digits)) / (1 + Math.abs(e)));
  }
  return worst;
}

/** The outputs of every sequence of a batch, by name. */
function splitOutputs(graph: Graph, batch: readonly Sequence[], { outputs }: Interpretation): Map<string, Matrix>[] {
  const done = { tokens: 0, sequences: 0, pairs: 0, masked: 0, distances: 0 };
  return batch.map(({ ids: { length: L }, masked = [] }) => {
    const here = { tokens: L, sequences: 1, pairs: L * L, masked: masked.length, distances: 0 };
    const split = [...outputs].map(([name, { columns, data }], i): [string, Matrix] => {
      const { rows } = graph.outputs[i]!.value;
      const begin = done[rows] * columns;
      return [name, { rows: here[rows], columns, data: data.subarray(begin, begin + here[rows] * columns) }];
    });
    for (const rows of Object.keys(done) as (keyof typeof done)[]) done[rows] += here[rows];
    return new Map(split);
  });
}

/** An output by Python's name. */
function outputNamed(name: string, outputs: ReadonlyMap<string, Matrix>): Matrix {
  const column = (c: number): Matrix => {
    const { rows, columns, data } = outputs.get('logits')!;
    return { rows, columns: 1, data: data.filter((_, i) => i % columns === c) };
  };
  if (name === 'start_logits') return column(0);
  if (name === 'end_logits') return column(1);
  const output = outputs.get(name) ?? (name === 'prediction_logits' ? outputs.get('logits') : undefined);
  if (!output) throw new Error(`no output ${name} among ${[...outputs.keys()]}`);
  return output;
}

/** The largest difference of every output that a sequence has, by name. */
function differences(
  outputs: ReadonlyMap<string, Matrix>,
  { attention_mask, outputs: expected }: Pick<Case, 'attention_mask' | 'outputs'>,
  digits: number,
): Record<string, number> {
  const isSeen = (token: number) => attention_mask?.[token] !== 0;
  const worst: Record<string, number> = {};
  for (const [key, wanted] of Object.entries(expected)) {
    const name = key.replace(/_(rows|argmax)$/, '');
    if (key.endsWith('_argmax')) {
      const { rows, columns, data } = outputNamed(name, outputs);
      const greatest = Array.from({ length: rows }, (_, r) => {
        const row = data.subarray(r * columns, (r + 1) * columns);
        return row.indexOf(Math.max(...row));
      });
      worst[key] = String(greatest) === String(wanted) ? 0 : Number.NaN;
    } else if (key.endsWith('_rows')) {
      const { rows, data: numbers } = wanted as SomeRows;
      const { columns, data } = outputNamed(name, outputs);
      const actual = rows.flatMap(row => [...data.subarray(row * columns, (row + 1) * columns)]);
      worst[key] = difference(actual, numbers, digits);
    } else if (Array.isArray(wanted)) {
      for (const [i, { data }] of (wanted as readonly Numbers[]).entries()) {
        worst[`${key}.${i}`] = difference(outputNamed(`${name}.${i}`, outputs).data, data, digits);
      }
    } else {
      const { shape, data } = wanted as Numbers;
      const columns = shape.at(-1)!;
      // Tokens that were not to be seen have no rows here.
      const seen = shape.length === 3 ? data.filter((_, i) => isSeen(Math.floor(i / columns))) : data;
      worst[key] = difference(outputNamed(name, outputs).data, seen, digits);
    }
  }
  return worst;
}

/** The differences of every output, by case and name, and what is allowed for steps in float32. */
interface Found {
  readonly worst: ReadonlyMap<string, number>;
  readonly float32: number;
}

/** Runs all sequences of a fixture: those of each task, and those without one, in a batch. */
async function runFixture(folder: URL, digits: number): Promise<Found> {
  const { cls, cases } = readJson(new URL('expected.json', folder)) as Expected;
  const tasks = [...new Set(cases.map(({ default_task }) => default_task))];
  const found = await Promise.all(
    tasks.map(task => runCases(folder, { cls, task, cases: cases.filter(one => one.default_task === task) }, digits)),
  );
  return {
    worst: new Map(found.flatMap(({ worst }) => [...worst])),
    float32: Math.max(...found.map(({ float32 }) => float32)),
  };
}

async function runCases(
  folder: URL,
  { cls, cases, task }: Expected & { readonly task: string | undefined },
  digits: number,
): Promise<Found> {
  const { config, hasPooler, tensors } = await loadCheckpoint(folderSource(folder), [], undefined, task);
  const kind = /For([A-Z]\w+)$/.exec(cls)?.[1] as HeadKind | undefined;
  const layers = [...new Array(config.layers).keys()];
  const hiddenStates = [...layers, config.layers];
  const request: EncoderRequest = kind
    ? { head: { kind } }
    : { lastHiddenState: true, pooler: hasPooler, hiddenStates, attentions: layers };
  const graph = encoderGraph(config, request);
  const batch = cases.flatMap(({ input_ids, token_type_ids, attention_mask }) => {
    const list = (row: readonly number[] | null | undefined) => row && [row];
    const inputs = {
      input_ids: [input_ids],
      token_type_ids: list(token_type_ids),
      attention_mask: list(attention_mask),
    };
    return unpadInputs(config, inputs, false).rows.map(row => checkSequence(config, row));
  });
  const outputs = splitOutputs(graph, batch, interpret(graph, tensors, batch));
  const worst = new Map<string, number>();
  cases.forEach((sequence, b) => {
    for (const [name, value] of Object.entries(differences(outputs[b]!, sequence, digits))) {
      worst.set(`${name} of sequence ${b}${task === undefined ? '' : ` for ${task}`}`, value);
    }
  });
  const isFloat32 =
    // Updates for a task are added in float32.
    task !== undefined ||
    config.tokenDropout ||
    config.attentions.some(({ rotary }) => rotary) ||
    config.modelType.startsWith('deberta');
  const steps = isFloat32 ? FLOAT32_STEP : 0;
  return { worst, float32: config.norm.unitOffset && digits < 10 ? FLOAT32_NORMS : steps };
}

/** The differences that are too large, or no number. */
const tooLarge = (worst: ReadonlyMap<string, number>, tolerance: number) =>
  [...worst].filter(([, value]) => !(value <= tolerance));

const SETS: FixtureSet[] = [
  {
    name: 'every family and head',
    folders: foldersIn(new URL('interpreter/', fixtures)),
    digits: 10,
    tolerance: 1e-9,
  },
  {
    // Their numbers were rounded twice, to 7 digits and then to 6.
    name: 'the models of the browser tests',
    folders: foldersIn(new URL('random/', fixtures)),
    digits: 6,
    tolerance: 1e-6,
  },
];
/** As for the browser tests: folders of more models. */
for (const { folder, fixtures } of givenFixtures()) {
  const heads = fixtures.filter(({ kind }) => kind === 'texts' || kind === 'sequences');
  const folders = heads.map(fixture => pathToFileURL(`${fixture.folder}/`));
  if (folders.length > 0) SETS.push({ name: folder, folders, digits: 7, tolerance: 1e-6 });
}

describe.each(SETS)('$name', ({ folders, digits, tolerance }) => {
  it.each(folders.filter(isBuilt).map(folder => [nameOf(folder), folder] as const))('%s', async (_, folder) => {
    const { worst, float32 } = await runFixture(folder, digits);
    expect(worst.size).toBeGreaterThan(0);
    expect(tooLarge(worst, Math.max(tolerance, float32))).toEqual([]);
  });
});

const COMMON = [
  'MaskedLM',
  'Model',
  'MultipleChoice',
  'QuestionAnswering',
  'SequenceClassification',
  'TokenClassification',
];
const BARE = ['MaskedLM', 'Model', 'SequenceClassification', 'TokenClassification'];
const PRETRAINING = ['NextSentencePrediction', 'PreTraining'];

/** The classes that transformers has for each family, without the prefix `For`. */
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  bert: [...COMMON, ...PRETRAINING],
  distilbert: COMMON,
  roberta: COMMON,
  'xlm-roberta': COMMON,
  camembert: COMMON,
  electra: [...COMMON, 'PreTraining'],
  albert: [...COMMON, 'PreTraining'],
  mpnet: COMMON,
  ernie: [...COMMON, ...PRETRAINING],
  modernbert: COMMON,
  deberta: COMMON.filter(head => head !== 'MultipleChoice'),
  'deberta-v2': COMMON,
  'data2vec-text': COMMON,
  'megatron-bert': [...COMMON, ...PRETRAINING],
  'roberta-prelayernorm': COMMON,
  rembert: COMMON,
  dpr: ['QuestionEncoder', 'ContextEncoder'],
  esm: ['MaskedLM', 'Model', 'SequenceClassification', 'TokenClassification'],
  roformer: COMMON,
  mobilebert: [...COMMON, ...PRETRAINING],
  squeezebert: COMMON,
  convbert: COMMON,
  // Remote code: twins, written after it.
  jina_bert: BARE,
  neobert: BARE,
  eurobert: BARE,
  nomic_bert: BARE,
  gte: BARE,
  gemma3_text: ['Model', 'SequenceClassification'],
  jina_embeddings_v3: [...BARE, 'QuestionAnswering'],
  // Remote code: twins; and transformers has the same encoders under other names.
  new: COMMON,
  'xlm-roberta-flash': ['MaskedLM', 'Model', 'SequenceClassification'],
};

it('fixtures are there for every family, and for every head of it', () => {
  const classes = new Map<string, string[]>();
  for (const folder of foldersIn(new URL('interpreter/', fixtures))) {
    const modelType = modelTypeOf(readJson(new URL('config.json', folder)) as Json, MODEL_TYPES);
    const { cls } = readJson(new URL('expected.json', folder)) as Expected;
    classes.set(modelType, [
      ...(classes.get(modelType) ?? []),
      /(?:For)?(Model|(?:Question|Context)Encoder|(?<=For)[A-Z]\w+)$/.exec(cls)![1]!,
    ]);
  }
  expect(Object.keys(CLASSES).sort()).toEqual([...MODEL_TYPES].sort());
  for (const [family, list] of Object.entries(CLASSES)) {
    expect(classes.get(family), family).toEqual(expect.arrayContaining([...list]));
  }
});

/**
 * Families of whose hidden states or attentions no fixture says anything, with the reason. Where the reference's code gives none, its twin
 * does, so the list is empty.
 */
const WITHOUT_STATES: Readonly<Record<string, string>> = {};

it('the hidden states and attentions of every layer of every family are compared, of several lengths', async () => {
  const lengths = new Map<string, Set<number>>();
  for (const folder of foldersIn(new URL('interpreter/', fixtures))) {
    const { cases } = readJson(new URL('expected.json', folder)) as Expected;
    const withStates = cases.filter(({ outputs }) => 'hidden_states' in outputs || 'attentions' in outputs);
    if (withStates.length === 0) continue;
    const { config } = await loadCheckpoint(folderSource(folder));
    for (const { input_ids, outputs } of withStates) {
      const { length: L } = input_ids;
      const shapesOf = (name: string) => (outputs[name] as readonly Numbers[] | undefined)?.map(({ shape }) => shape);
      // The embeddings, and the result of each layer.
      const states = new Array(config.layers + 1).fill([1, L, config.hiddenSize]);
      expect(shapesOf('hidden_states'), nameOf(folder)).toEqual(states);
      const attentions = shapesOf('attentions')!;
      expect(attentions.length, nameOf(folder)).toBe(config.layers);
      for (const shape of attentions) expect([shape[0], ...shape.slice(2)], nameOf(folder)).toEqual([1, L, L]);
      lengths.set(config.modelType, (lengths.get(config.modelType) ?? new Set()).add(L));
    }
  }
  const compared = [...lengths].filter(([, { size }]) => size >= 3).map(([family]) => family);
  expect([...compared, ...Object.keys(WITHOUT_STATES)].sort()).toEqual([...MODEL_TYPES].sort());
});

/** Checkpoints of sentence-transformers: poolings and dense layers. */
describe('sentence-transformers, in 8 digits', () => {
  interface SentenceExpected {
    readonly weights?: string;
    readonly texts: readonly string[];
    readonly calls: readonly {
      readonly options: { readonly prompt_name?: string; readonly prompt?: string };
      readonly embeddings: Numbers;
    }[];
  }
  const folders = foldersIn(new URL('sentence/', fixtures)).filter(folder => nameOf(folder).startsWith('st-'));
  it.each(folders.map(folder => [nameOf(folder), folder] as const))('%s', async (_, folder) => {
    const { weights, texts, calls } = readJson(new URL('expected.json', folder)) as SentenceExpected;
    const source = folderSource(folder, ...(weights ? [new URL(`random/${weights}/`, fixtures)] : []));
    const sentence = openSentence(source);
    const { prompts, defaultPrompt, maxLength } = await sentence.settings;
    const modules = (await sentence.modules)!;
    const { includePrompt, files } = modules;
    const { tokenizer, config: tokenizerConfig } = await readTokenizerFiles(source);
    const { text: encoder, model_max_length } = new PreTrainedTokenizer(tokenizer, tokenizerConfig);
    const { config, tensors } = await loadCheckpoint(source, files, sentence.isStatic);
    const graph = encoderGraph(config, { pool: modules });
    const addSpecialTokens = !config.static;
    const encode = (text: string) =>
      encoder.encode(text, { maxLength: maxLength ?? model_max_length, addSpecialTokens });
    for (const { options, embeddings } of calls) {
      const prompt = options.prompt ?? prompts[options.prompt_name ?? defaultPrompt ?? ''] ?? '';
      // All of the prompt's tokens but the one that ends it.
      const unpooled = includePrompt || prompt === '' ? 0 : encode(prompt).ids.length - 1;
      const batch = texts.map(text => {
        const { ids, typeIds } = encode(prompt + text);
        return checkSequence(config, { ids, types: typeIds, unpooled });
      });
      const { data } = interpret(graph, tensors, batch).outputs.get('embedding')!;
      expect(difference(data, embeddings.data, 8), JSON.stringify(options)).toBeLessThanOrEqual(1e-8);
    }
  });
});

describe('all-MiniLM-L6-v2, in 8 digits', () => {
  const folder = new URL('../.cache/models/sentence-transformers/all-MiniLM-L6-v2/', import.meta.url);
  let checkpoint: LoadedCheckpoint;
  beforeAll(async () => {
    // What is there and right stays.
    await fetchModel();
    checkpoint = await loadCheckpoint(folderSource(folder));
  }, 300_000);

  it('gives the embeddings of the float64 reference', async () => {
    interface MiniCase {
      readonly text: string;
      readonly input_ids: readonly number[];
      readonly embedding: readonly number[];
    }
    const { cases } = readJson(new URL('all-MiniLM-L6-v2.json', fixtures)) as { cases: readonly MiniCase[] };
    const short = cases.filter(({ input_ids }) => input_ids.length <= 8);
    expect(short.length).toBeGreaterThan(2);
    const { config, tensors } = checkpoint;
    const graph = encoderGraph(config, { pool: { pooling: 'mean', normalize: true } });
    const batch = short.map(({ input_ids }) => checkSequence(config, { ids: input_ids }));
    const { data } = interpret(graph, tensors, batch).outputs.get('embedding')!;
    const expected = short.flatMap(({ embedding }) => embedding);
    expect(difference(data, expected, 8)).toBeLessThanOrEqual(1e-8);
  });
});

describe('these tests can fail', () => {
  const folder = new URL('interpreter/bert-Model/', fixtures);
  const { cases } = readJson(new URL('expected.json', folder)) as Expected;
  const TOLERANCE = 1e-6;

  it('by an epsilon, heads or an activation that are not the checkpoint’s', async () => {
    const { config, tensors } = await loadCheckpoint(folderSource(folder));
    const { input_ids, token_type_ids, outputs } = cases[2]!;
    const batch = [checkSequence(config, { ids: input_ids, types: token_type_ids ?? undefined })];
    const expected = { outputs: { last_hidden_state: outputs.last_hidden_state! } };
    const worst = (changed: object) => {
      const graph = encoderGraph({ ...config, ...changed }, { lastHiddenState: true });
      const [split] = splitOutputs(graph, batch, interpret(graph, tensors, batch));
      return differences(split!, expected, 10).last_hidden_state;
    };
    expect(worst({})).toBeLessThanOrEqual(1e-9);
    expect(worst({ norm: { eps: 1e-5 } })).toBeGreaterThan(TOLERANCE);
    expect(worst({ activation: 'gelu_tanh' })).toBeGreaterThan(TOLERANCE);
    expect(worst({ heads: 5, keyHeads: 5, headSize: 3 })).toBeGreaterThan(TOLERANCE);
  });

  it('by lists of another length, and by NaN', () => {
    expect(difference([1], [1, 2], 6)).toBeNaN();
    expect(difference([Number.NaN], [1], 6)).toBeNaN();
    const worst = new Map([
      ['a', Number.NaN],
      ['b', 2e-6],
      ['c', 0],
    ]);
    expect(tooLarge(worst, TOLERANCE).map(([name]) => name)).toEqual(['a', 'b']);
  });

  it('no wider than the digits that a fixture has', () => {
    expect(rounding(1.23456, 6)).toBeCloseTo(5e-6, 12);
    expect(rounding(-0.0123456, 6)).toBeCloseTo(5e-8, 14);
    expect(difference([1.234564], [1.23456], 6)).toBe(0);
    expect(difference([1.23457], [1.23456], 6)).toBeGreaterThan(TOLERANCE);
  });
});
