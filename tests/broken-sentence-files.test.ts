import { describe, expect, test, vi } from 'vitest';
import { MultiVectorEncoder, pipeline, SparseEncoder, WebGPUBertError } from '../src/index.ts';
import { safetensors } from './checkpoint-bytes.ts';
import type { Files } from './fixture-files.ts';
import { thrown } from './source-environment.ts';
import { checkpointFiles, colbertFiles, json, routed } from './vector-fixtures.ts';

/**
 * The files of sentence-transformers, damaged: each gives a typed error that names the file, or what sentence-transformers 6.2 makes of
 * it. What Python does was seen with the same folders.
 */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const TEXTS = ['Paris is the capital', 'the end of the day'];
const GENERAL = 'config_sentence_transformers.json';
const TRANSFORMER = 'sentence_bert_config.json';

const bytes = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
const parsed = (files: Files, file: string) => JSON.parse(new TextDecoder().decode(files[file]));

/** A model of one class: its files, and what it makes of the texts. */
interface Model {
  readonly files: () => Files;
  answer(files: Files): Promise<unknown>;
}

async function sparse(files: Files): Promise<unknown> {
  const encoder = await SparseEncoder.from_pretrained(files);
  try {
    return [await encoder.encode_query(TEXTS), await encoder.encode_document(TEXTS)];
  } finally {
    await encoder.dispose();
  }
}

async function multi(files: Files): Promise<unknown> {
  const encoder = await MultiVectorEncoder.from_pretrained(files);
  try {
    const vectors = [...(await encoder.encode_query(TEXTS)), ...(await encoder.encode_document(TEXTS))];
    return vectors.map(vector => vector.tolist());
  } finally {
    await encoder.dispose();
  }
}

async function embedding(files: Files): Promise<unknown> {
  const extractor = await pipeline('feature-extraction', files);
  try {
    return (await extractor(TEXTS, { pooling: 'model' })).tolist();
  } finally {
    await extractor.dispose();
  }
}

async function ranking(files: Files): Promise<unknown> {
  const ranker = await pipeline('text-ranking', files);
  try {
    return await ranker('the day', TEXTS);
  } finally {
    await ranker.dispose();
  }
}

const weight = { dtype: 'F32', shape: [640], bytes: new Uint8Array(new Float32Array(640).fill(0.5).buffer) };
const TABLE = { 'query_0_SparseStaticEmbedding/model.safetensors': safetensors({ weight }) };
const ROUTED = () => routed({ ...TABLE, 'query_0_SparseStaticEmbedding/config.json': json({ frozen: true }) });

const MODELS: Readonly<Record<string, Model>> = {
  embedder: { files: () => checkpointFiles('st-dense'), answer: embedding },
  'cross-encoder': { files: () => checkpointFiles('cross-sigmoid'), answer: ranking },
  splade: { files: () => checkpointFiles('splade-max'), answer: sparse },
  routed: { files: ROUTED, answer: sparse },
  colbert: { files: () => colbertFiles('colbert'), answer: multi },
  expanding: { files: () => colbertFiles('colbert-expansion'), answer: multi },
  pylate: { files: () => colbertFiles('colbert-pylate'), answer: multi },
};

const whole = new Map<string, Promise<unknown>>();
/** What a model answers whose files are whole. */
function wholeAnswer(name: string): Promise<unknown> {
  const { files, answer } = MODELS[name]!;
  const known = whole.get(name) ?? answer(files());
  whole.set(name, known);
  return known;
}

/** What a file may be instead of itself. Undefined: it is missing. */
const DAMAGES: Readonly<Record<string, Uint8Array<ArrayBuffer> | undefined>> = {
  missing: undefined,
  empty: bytes(''),
  'no JSON': bytes('not json'),
  null: json(null),
  'a number': json(5),
  'a text': json('text'),
  'a list of null': json([null]),
};

/** The files without which a model is the same, because the default of Python is what they say. */
const MAY_BE_MISSING: Readonly<Record<string, readonly string[]>> = {
  embedder: [GENERAL, TRANSFORMER, '4_Normalize/config.json'],
  'cross-encoder': [GENERAL, TRANSFORMER, 'modules.json'],
  splade: [GENERAL, TRANSFORMER, '1_SpladePooling/config.json', 'modules.json'],
  routed: [GENERAL, 'document_0_MLMTransformer/sentence_bert_config.json', 'query_0_SparseStaticEmbedding/config.json'],
  colbert: [TRANSFORMER, '3_MultiVectorMask/config.json'],
  pylate: [TRANSFORMER],
};

describe.each(Object.keys(MAY_BE_MISSING))('%s', name => {
  const { files, answer } = MODELS[name]!;
  const names = Object.keys(files()).filter(file => /^(?!.*tokenizer).*\.json$/.test(file));
  const ofSentences = names.filter(file => !('architectures' in parsed(files(), file)));

  test.each(ofSentences)('%s', async file => {
    for (const [damage, content] of Object.entries(DAMAGES)) {
      const { [file]: _, ...others } = files();
      const damaged = content === undefined ? others : { ...others, [file]: content };
      if (content === undefined && MAY_BE_MISSING[name]!.includes(file)) {
        expect(await answer(damaged), damage).toEqual(await wholeAnswer(name));
        continue;
      }
      const result = await answer(damaged).catch(error => error);
      const isOther = content === undefined && !(result instanceof Error);
      // Without a file that says something a model may be another one, as in Python; it is never the same by chance.
      if (isOther) expect(result, damage).not.toEqual(await wholeAnswer(name));
      else {
        expect(result, `${file}: ${damage}`).toBeInstanceOf(WebGPUBertError);
        if (content !== undefined) expect(String(result), damage).toContain(file);
      }
    }
  });
});

type Change = (json: never) => unknown;
const set =
  (field: string, value: unknown): Change =>
  (fields: object) => ({ ...fields, [field]: value });
/** A change of the module at a place of modules.json. */
const setModule =
  (at: number, field: string, value: unknown): Change =>
  (modules: object[]) =>
    modules.map((module, i) => (i === at ? { ...module, [field]: value } : module));
const without =
  (at: number): Change =>
  (modules: object[]) =>
    modules.toSpliced(at, 1);

const setWords: Change = ([first, ...rest]: object[]) => [
  { ...first, path: '0_WordEmbeddings', type: 'sentence_transformers.models.WordEmbeddings' },
  ...rest,
];

/** Whether the answer is that of the whole files, or what the error says. */
const CASES: [model: string, file: string, change: Change, outcome: 'the same' | RegExp][] = [
  // modules.json
  ['embedder', 'modules.json', setModule(2, 'path', '../2_Dense'), /modules\.json.*\[2\]\.path.*"\.\.\/2_Dense"/],
  ['embedder', 'modules.json', setModule(2, 'path', '/2_Dense'), /\[2\]\.path.*a folder of the model/],
  ['embedder', 'modules.json', setModule(1, 'path', 'https://example.org/x'), /\[1\]\.path/],
  ['embedder', 'modules.json', setModule(1, 'path', 'C:\\x'), /\[1\]\.path/],
  ['embedder', 'modules.json', setModule(0, 'path', '..'), /\[0\]\.path/],
  ['embedder', 'modules.json', setModule(1, 'path', 'nowhere'), /nowhere\/config\.json/],
  ['embedder', 'modules.json', setModule(2, 'path', './2_Dense'), 'the same'],
  ['embedder', 'modules.json', setModule(2, 'path', '2_Dense/'), 'the same'],
  ['embedder', 'modules.json', setModule(3, 'path', undefined), /\[3\]\.path: got undefined, expected a string/],
  ['embedder', 'modules.json', setModule(3, 'type', null), /\[3\]\.type: got null, expected a string/],
  ['embedder', 'modules.json', setModule(2, 'type', 'os.system'), /not supported: os\.system/],
  // The first module has a class that is not built, and its folder none of the files of an encoder.
  ['embedder', 'modules.json', setWords, /not supported: WordEmbeddings/],
  ['cross-encoder', 'modules.json', setWords, /not supported: WordEmbeddings/],
  ['embedder', 'modules.json', without(0), /order that is not supported.*a Transformer, then/],
  ['embedder', 'modules.json', without(1), /reads sentence_embedding, and no Pooling stands before it.*name a pooling/],
  // In Python modules are kept by their names, so that the last one of a name stands for all of it.
  ['embedder', 'modules.json', (list: object[]) => [list[0], list[0], ...list.slice(1)], 'the same'],
  ['cross-encoder', 'modules.json', setModule(0, 'type', 'x'), /modules\.json lists a module.*: x/],
  ['splade', 'modules.json', setModule(1, 'path', '../1_SpladePooling'), /\[1\]\.path/],
  ['splade', 'modules.json', setModule(1, 'type', 'sentence_transformers.models.Pooling'), /Transformer, Pooling/],
  ['splade', 'modules.json', without(0), /this list of modules/],
  ['colbert', 'modules.json', setModule(1, 'path', '../1_Dense'), /\[1\]\.path/],
  ['colbert', 'modules.json', setModule(3, 'type', 'os.system'), /not supported: os\.system/],
  ['colbert', 'modules.json', without(0), /does not begin with a Transformer/],
  // The module says what the missing class would say.
  ['colbert', GENERAL, (fields: object) => ({ ...fields, model_type: undefined }), 'the same'],
  // config_sentence_transformers.json
  ['embedder', GENERAL, set('model_type', 'SparseEncoder'), /SparseEncoder\.from_pretrained/],
  ['embedder', GENERAL, set('model_type', 'CrossEncoder'), /pipeline\("text-ranking"/],
  ['embedder', GENERAL, set('model_type', 5), /model_type: got number 5, expected a string/],
  ['embedder', GENERAL, set('prompts', []), /malformed: prompts: got an empty list, expected an object/],
  ['embedder', GENERAL, set('prompts', { query: 5 }), /prompts\.query: got number 5, expected a string/],
  ['embedder', GENERAL, set('default_prompt_name', 'ask'), /default_prompt_name.*one of query, document, or null/],
  ['cross-encoder', GENERAL, set('default_prompt_name', 'ask'), /default_prompt_name.*there are no prompts/],
  ['embedder', GENERAL, set('truncate_dim', '12'), /truncate_dim: got "12"/],
  ['splade', GENERAL, set('max_active_dims', 0), /max_active_dims: got number 0/],
  ['pylate', GENERAL, set('attend_to_expansion_tokens', 5), /attend_to_expansion_tokens.*true or false/],
  ['pylate', GENERAL, set('do_query_expansion', 'no'), /do_query_expansion.*true or false/],
  ['pylate', GENERAL, set('query_length', 10 ** 9), /more tokens than the model takes: got 1000000000 tokens/],
  ['pylate', GENERAL, set('skiplist_words', 'x'), /skiplist_words: got "x", expected a list/],
  // sentence_bert_config.json
  [
    'embedder',
    TRANSFORMER,
    set('max_seq_length', 0),
    /max_seq_length: got number 0, expected a whole number of at least 1/,
  ],
  ['embedder', TRANSFORMER, set('max_seq_length', 1.5), /max_seq_length: got number 1\.5/],
  ['embedder', TRANSFORMER, set('max_seq_length', null), 'the same'],
  ['embedder', TRANSFORMER, set('processor_kwargs', { model_max_length: 'x' }), /processor_kwargs\.model_max_length/],
  ['embedder', TRANSFORMER, set('do_lower_case', 'yes'), /do_lower_case.*true or false/],
  ['embedder', TRANSFORMER, set('transformer_task', 'text-generation'), /transformer_task is not supported/],
  ['embedder', TRANSFORMER, set('modality_config', { image: {} }), /takes no text is not supported: got "image"/],
  [
    'embedder',
    TRANSFORMER,
    set('modality_config', { text: { method: 'get_text_features', method_output_name: 'pooler_output' } }),
    /get_text_features/,
  ],
  [
    'embedder',
    TRANSFORMER,
    set('modality_config', { text: { method: 'forward', method_output_name: 'pooler_output' } }),
    /output of the transformer is not supported: got "pooler_output"/,
  ],
  ['splade', TRANSFORMER, set('transformer_task', 'feature-extraction'), /transformer_task.*"feature-extraction"/],
  ['expanding', TRANSFORMER, set('query_expansion', {}), /malformed: query_expansion\.strategy/],
  ['expanding', TRANSFORMER, set('query_expansion', { strategy: 'fixed', length: 10 ** 9 }), /more tokens than/],
  ['expanding', TRANSFORMER, set('query_expansion', { strategy: 'fixed', length: 8, wide: true }), /"wide"/],
  ['expanding', TRANSFORMER, set('query_length', 2), /query_length: got number 2, expected at least/],
  // The files of modules
  ['embedder', '1_Pooling/config.json', set('pooling_mode', 'median'), /pooling is not supported: got "median"/],
  ['embedder', '1_Pooling/config.json', set('pooling_mode', null), /pooling is not supported: got "null"/],
  ['embedder', '1_Pooling/config.json', () => ({ pooling_mode_cls_token: 1 }), /pooling_mode_cls_token.*true or false/],
  ['embedder', '1_Pooling/config.json', set('include_prompt', 'no'), /1_Pooling\/config\.json.*include_prompt/],
  ['embedder', '2_Dense/config.json', set('in_features', 5), /"in_features": 5, expected 48/],
  ['embedder', '3_Dense/config.json', set('out_features', 13), /"linear\.weight".*as 3_Dense\/config\.json says/],
  ['embedder', '2_Dense/config.json', set('activation_function', null), /activation_function: got null/],
  ['embedder', '2_Dense/config.json', set('activation_function', 'os.system'), /activation.*"os\.system"/],
  ['embedder', '3_Dense/config.json', set('bias', true), /3_Dense\/model\.safetensors lacks the tensor "linear\.bias"/],
  ['embedder', '3_Dense/config.json', set('bias', 'no'), /3_Dense\/config\.json.*bias.*true or false/],
  ['embedder', '4_Normalize/config.json', () => [], /4_Normalize\/config\.json.*expected an object/],
  ['embedder', '4_Normalize/config.json', set('module_input_name', 'x'), /module_input_name.*"x"/],
  ['splade', '1_SpladePooling/config.json', set('pooling_strategy', 'mean'), /"pooling_strategy".*"mean"/],
  ['splade', '1_SpladePooling/config.json', set('pooling_strategy', null), /"pooling_strategy".*null/],
  ['splade', '1_SpladePooling/config.json', () => ({}), 'the same'],
  ['routed', 'router_config.json', set('types', undefined), /router_config\.json.*types.*an object/],
  ['routed', 'router_config.json', set('structure', { query: ['../x'] }), /router_config\.json.*structure.*"\.\.\/x"/],
  ['routed', 'router_config.json', set('structure', {}), /at least one route/],
  [
    'routed',
    'query_0_SparseStaticEmbedding/config.json',
    set('path', '../../idf.json'),
    /path: got "\.\.\/\.\.\/idf\.json"/,
  ],
  ['routed', 'query_0_SparseStaticEmbedding/config.json', set('path', 'idf.json'), /idf\.json/],
  ['colbert', '1_Dense/config.json', set('in_features', 5), /"in_features": 5, expected 48/],
  ['colbert', '1_Dense/config.json', set('bias', true), /1_Dense\/model\.safetensors lacks the tensor "linear\.bias"/],
  ['cross-encoder', GENERAL, set('activation_fn', 5), /activation_fn: got number 5, expected a string/],
  ['colbert', '3_MultiVectorMask/config.json', set('skiplist_tasks', 5), /skiplist_tasks.*"query" or "document"/],
  ['colbert', '3_MultiVectorMask/config.json', set('keep_only_token_ids', ['x']), /keep_only_token_ids.*token ids/],
  ['colbert', '3_MultiVectorMask/config.json', set('skiplist_words', 'x'), /3_MultiVectorMask.*skiplist_words/],
];

describe('fields', () => {
  test.each(CASES.map(([model, file, change, outcome], i) => ({ i, model, file, change, outcome })))(
    '$i: $file of the $model: $outcome',
    async ({ model, file, change, outcome }) => {
      const { files, answer } = MODELS[model]!;
      const damaged = { ...files(), [file]: json(change(parsed(files(), file) as never)) };
      if (outcome === 'the same') {
        expect(await answer(damaged)).toEqual(await wholeAnswer(model));
        return;
      }
      const error = await thrown(answer(damaged));
      expect(error).toBeInstanceOf(WebGPUBertError);
      expect(error.message).toMatch(outcome);
    },
  );

  test('Stanford: the projection is missing', async () => {
    const files = checkpointFiles('colbert-stanford');
    const error = await thrown(MultiVectorEncoder.from_pretrained(files));
    expect(error).toBeInstanceOf(WebGPUBertError);
    expect(error.message).toMatch(/lacks the tensor "linear\.weight".*artifact\.metadata and the weights/);
  });
});
