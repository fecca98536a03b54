import { MODEL } from '../sides.ts';
import { heads } from './heads.ts';
import { type Answer, type Call, type Session, shownOptions } from './session.ts';

interface AnyTensor {
  dims: readonly number[];
  tolist(): unknown;
}

const answer = ({ dims, tolist }: AnyTensor, self: AnyTensor): Answer => ({ dims, value: tolist.call(self) });
const ofTensor = (tensor: AnyTensor): Answer => answer(tensor, tensor);

const ONE = 'The quick brown fox jumps over the lazy dog.';
const LIST = [
  'How do I reset my password?',
  'WebGPU gives a web page the graphics card.',
  'Grüße aus Köln, naïve café: 北京 東京 서울 🙂!',
  'a',
];
const EVEN = ['the river runs past stone houses', 'people sit and talk about rain'];
const LONG = Array.from({ length: 700 }, (_, i) => `word${i % 7}`).join(' ');

const embed = (name: string, texts: string | string[], options: object, byDesign?: string): Call => ({
  name: `extractor(${name}, ${shownOptions(options)})`,
  ...(byDesign && { byDesign }),
  run: async ({ extractor }) => {
    const call = (await extractor()) as unknown as (texts: string | string[], options: object) => Promise<AnyTensor>;
    return ofTensor(await call(texts, options));
  },
});

const CUT_TEXT = 'a text that was cut ends in [SEP] here, as in Python; transformers.js cuts that off too';

const embeddings: Call[] = [
  ...(['none', 'mean', 'cls'] as const).flatMap(pooling =>
    [false, true].flatMap(normalize => [
      embed('text', ONE, { pooling, normalize }),
      ...(pooling === 'none' ? [] : [embed('list of 4', LIST, { pooling, normalize })]),
    ]),
  ),
  embed('text', ONE, {}),
  embed('empty text', '', { pooling: 'mean' }),
  embed('text of 702 tokens', LONG, { pooling: 'mean', normalize: true }, CUT_TEXT),
  embed('2 texts of equal length', EVEN, { pooling: 'none' }),
  embed(
    'list of 4',
    LIST,
    { pooling: 'none' },
    'rows past the end of a text: zero here, there whatever the padding gave',
  ),
];

type AnyTokenizer = ((text: unknown, options?: object) => Record<string, AnyTensor>) & {
  encode(text: string, options?: object): number[];
  tokenize(text: string, options?: object): string[];
  decode(ids: unknown, options?: object): string;
  batch_decode(ids: unknown, options?: object): string[];
  model_max_length: number;
};

/** Loaded once for each library and model. */
async function tokenizerOf({ library, tokenizers }: Session, model: string): Promise<AnyTokenizer> {
  const loading = tokenizers.get(model) ?? library.AutoTokenizer.from_pretrained(model);
  tokenizers.set(model, loading);
  return (await loading) as unknown as AnyTokenizer;
}

const BATCH_FIELDS = ['input_ids', 'attention_mask', 'token_type_ids'];
/** transformers.js gives token_type_ids only where the class names a family, which that of the fixtures does not. */
const FIELDS_OF_ALL = BATCH_FIELDS.slice(0, 2);

/** All fields of a batch as lists; bigints as numbers. */
function ofBatch(batch: Record<string, unknown>, fields = BATCH_FIELDS): Answer {
  const present = fields.filter(name => name in batch);
  const tensors = present.map(name => batch[name] as AnyTensor | unknown[]);
  const lists = tensors.map(field => (Array.isArray(field) ? field : (field as AnyTensor).tolist()));
  const [first] = tensors;
  return {
    ...(first && !Array.isArray(first) && { dims: (first as AnyTensor).dims }),
    value: Object.fromEntries(present.map((name, i) => [name, lists[i]])),
  };
}

const CUT = 'the last token of a text that was cut: [SEP] here, as in Python; transformers.js cuts it off too';

const tokens = (model: string, shown: string, text: unknown, options?: object, byDesign?: string): Call => ({
  name: `tokenizer(${shown}${options ? `, ${shownOptions(options)}` : ''})`,
  ...(byDesign && { byDesign }),
  run: async session => ofBatch((await tokenizerOf(session, model))(text, options)),
});

const tokenizer: Call[] = [
  tokens(MODEL, 'text', ONE),
  tokens(MODEL, 'list of 4', LIST, { padding: true }),
  tokens(MODEL, 'list of 4', LIST, { padding: true, truncation: true, max_length: 8 }, CUT),
  tokens(MODEL, 'list of 4', LIST, { padding: 'max_length', truncation: true, max_length: 24 }),
  tokens(MODEL, 'list of 4', LIST, { return_tensor: false }),
  tokens(MODEL, 'text', LONG, { truncation: true }, CUT),
  tokens(MODEL, 'text', ONE, { add_special_tokens: false }),
  tokens(MODEL, 'text, pair', ONE, { text_pair: LIST[0] }),
  tokens(MODEL, 'list, pairs', LIST, { text_pair: [...LIST].reverse(), padding: true }),
  {
    name: 'tokenizer.encode, tokenize, decode, batch_decode, model_max_length',
    run: async session => {
      const it = await tokenizerOf(session, MODEL);
      const ids = it.encode(LIST[2]!);
      return {
        value: {
          ids,
          pair: it.encode(ONE, { text_pair: LIST[0] }),
          tokens: it.tokenize(LIST[1]!),
          text: it.decode(ids),
          plain: it.decode(ids, { skip_special_tokens: true }),
          batch: it.batch_decode([ids, it.encode(ONE)], { skip_special_tokens: true }),
          length: it.model_max_length,
        },
      };
    },
  },
];

const tensor: Call[] = [
  {
    name: 'Tensor: dims, tolist, index, iteration, slice, transpose, view, item',
    run: async ({ library: { Tensor } }) => {
      const data = Float32Array.from({ length: 24 }, (_, i) => i / 8);
      const it = new Tensor('float32', data, [2, 3, 4]);
      const lists = [it[1]!, it.slice(0, [1, 3]), it.slice(null, 0), it.transpose(2, 0, 1), it.view(6, 4), it.view(-1)];
      return {
        dims: it.dims,
        value: {
          all: it.tolist(),
          lists: lists.map(part => ({ dims: part.dims, list: part.tolist() })),
          rows: [...it].map(row => (row as typeof it).tolist()),
          item: new Tensor('float32', [0.5], [1]).item(),
          long: new Tensor('int64', BigInt64Array.from([1n, -2n]), [2]).tolist(),
        },
      };
    },
  },
];

const typeIds = (model: string): Call => ({
  name: `AutoTokenizer of ${model}: token_type_ids`,
  byDesign: 'PreTrainedTokenizerFast names no family: transformers.js then gives none, Python and this library do',
  run: async session => {
    const { token_type_ids } = (await tokenizerOf(session, model))(ONE, { text_pair: LIST[0] });
    return token_type_ids ? { value: token_type_ids.tolist() } : { value: 'none' };
  },
});

/** Every family whose tokenizer both libraries read: three texts and a pair each. */
const families = (models: readonly string[]): Call[] =>
  models.map(model => ({
    name: `AutoTokenizer of ${model}: list of 4, padded; a pair; decode`,
    run: async session => {
      const it = await tokenizerOf(session, model);
      const ids = it.encode(LIST[2]!);
      const batch = ofBatch(it(LIST, { padding: true }), FIELDS_OF_ALL);
      return {
        ...batch,
        value: { batch: batch.value, pair: it.encode(ONE, { text_pair: LIST[0] }), text: it.decode(ids) },
      };
    },
  }));

export const callsFor = (models: readonly string[]): Call[] => [
  ...embeddings,
  ...tokenizer,
  ...tensor,
  ...heads,
  ...families(models),
  ...models
    .filter(model => model.includes('/bert-'))
    .slice(0, 1)
    .map(typeIds),
];
