import type { Tensor } from '../../src/index.ts';
import { load } from '../answers.ts';
import { fixturesOf, loadAs } from '../fixtures.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { fetchJson, library } from '../library.ts';

/**
 * Small inputs that reports of other tools led to: a folder each, whose expected.json says what is given (a text, or ids) and what is
 * right. WEBGPU_BERT_FIXTURES names folders of more: see tests/given-fixtures.ts.
 */
interface Report {
  /** What is tokenised, with the options of the call. */
  readonly text?: string;
  readonly text_pair?: string | null;
  readonly options?: object;
  readonly texts?: readonly string[];
  /** What is repeated until the text has so many characters. */
  readonly unit?: string;
  readonly characters?: number;
  /** What the tokenizer gives; where there is no text, what the model is given. */
  readonly input_ids?: readonly number[] | readonly (readonly number[])[];
  readonly tokens?: readonly string[];
  readonly offset_mapping?: readonly (readonly [number, number])[];
  readonly model_max_length?: number;
  readonly token_classification?: readonly { score: number }[];
  readonly last_hidden_state?: readonly number[];
  readonly logits?: readonly number[];
  readonly embeddings?: readonly (readonly number[])[];
  /** Of the load, or of tokenising the text. */
  readonly milliseconds_at_most?: number;
}

/** Of |x| + 1: references have six digits. */
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

/** What else expected.json may say, which is nothing to compare. */
const REMARKS = ['note', 'reference', 'tokenizer_class', 'tensors'];
const GIVEN = ['text', 'text_pair', 'options', 'texts', 'unit', 'characters'];

type Check = (url: string, expected: Report) => Promise<void>;

async function checkTokens(url: string, { text, text_pair = null, options, ...expected }: Report): Promise<void> {
  const tokenizer = await library.AutoTokenizer.from_pretrained(url);
  const row = tokenizer(text!, { ...options, text_pair, return_offsets_mapping: true, return_tensor: false });
  expectEqual(row.input_ids, expected.input_ids, 'ids');
  if (expected.tokens)
    expectEqual(
      row.input_ids.map(id => tokenizer.convert_ids_to_tokens(id)),
      expected.tokens,
      'tokens',
    );
  if (expected.offset_mapping) expectEqual(row.offset_mapping, expected.offset_mapping, 'offsets');
}

/** The output of the class that config.json names, else of a model without a head, of ids. */
async function checkOutput(url: string, expected: Report, name: 'logits' | 'last_hidden_state'): Promise<void> {
  const { architectures: [cls] = ['Model'] } = await fetchJson<{ architectures?: string[] }>(`${url}config.json`);
  const began = performance.now();
  const model = await loadAs(cls!, url);
  expectTime(performance.now() - began, expected, 'the load');
  const output = (await model({ input_ids: expected.input_ids as number[][] })) as Record<string, Tensor>;
  expectClose(output[name]!.data as Float32Array, expected[name]!, { label: name, ...TOLERANCE });
  await model.dispose();
}

function expectTime(
  milliseconds: number,
  { milliseconds_at_most: most = Number.POSITIVE_INFINITY }: Report,
  what: string,
) {
  expect(milliseconds <= most, `${what} took ${Math.round(milliseconds)} ms, expected at most ${most}`);
}

/** By the field of expected.json that has the answer. */
const CHECKS: Readonly<Record<string, Check>> = {
  input_ids: async (url, expected) => {
    if (expected.text !== undefined) await checkTokens(url, expected);
  },
  // The same call.
  tokens: async () => undefined,
  offset_mapping: async () => undefined,
  model_max_length: async (url, expected) => {
    const { model_max_length } = await library.AutoTokenizer.from_pretrained(url);
    expectEqual(model_max_length, expected.model_max_length, 'model_max_length');
  },
  token_classification: async (url, { text, token_classification: wanted }) => {
    const pipe = await load('token-classification', url);
    const got = await pipe(text!, { ignore_labels: [] });
    const bare = (answers: readonly { score: number }[]) => answers.map(({ score: _, ...answer }) => answer);
    const scores = (answers: readonly { score: number }[]) => answers.map(({ score }) => score);
    expectEqual(bare(got), bare(wanted!), 'answers');
    expectClose(scores(got), scores(wanted!), { label: 'scores', ...TOLERANCE });
    await pipe.dispose();
  },
  last_hidden_state: async (url, expected) => {
    if (expected.text === undefined) return checkOutput(url, expected, 'last_hidden_state');
    const pipe = await load('feature-extraction', url);
    const { data } = await pipe(expected.text);
    expectClose(data as Float32Array, expected.last_hidden_state!, { label: 'last_hidden_state', ...TOLERANCE });
    await pipe.dispose();
  },
  logits: (url, expected) => checkOutput(url, expected, 'logits'),
  embeddings: async (url, { texts, embeddings }) => {
    const pipe = await load('feature-extraction', url);
    const out = await pipe([...texts!], { pooling: 'model' });
    expectEqual(out.dims, [embeddings!.length, embeddings![0]!.length], 'dims');
    expectClose(out.data as Float32Array, embeddings!.flat(), { label: 'embeddings', ...TOLERANCE });
    await pipe.dispose();
  },
  milliseconds_at_most: async (url, expected) => {
    const { unit, characters } = expected;
    // Else it is the load's: see checkOutput.
    if (unit === undefined) return;
    const tokenizer = await library.AutoTokenizer.from_pretrained(url);
    for (const [label, part] of [
      ['the text as it is', unit],
      ['the text in canonical order', unit.normalize('NFC')],
    ] as const) {
      const text = part.repeat(characters! / part.length);
      const began = performance.now();
      tokenizer.encode(text);
      expectTime(performance.now() - began, expected, label);
    }
  },
};

for (const url of fixturesOf('report')) {
  check(url, async log => {
    const expected = await fetchJson<Report>(`${url}expected.json`);
    const names = Object.keys(expected).filter(name => !REMARKS.includes(name) && !GIVEN.includes(name));
    expect(names.length > 0, `${url}expected.json expects nothing`);
    for (const name of names) {
      const body = CHECKS[name];
      expect(body, `${url}expected.json: the field "${name}" is none of ${Object.keys(CHECKS)}`);
      await body(url, expected);
    }
    log(names.join(', '));
  });
}
