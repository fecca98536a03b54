/** Other files that a model may stand in: vocabulary files in place of tokenizer.json, shards, the modules of sentence-transformers. */
import { readTensors, safetensors, type TensorBytes } from '../checkpoint-bytes.ts';
import type { Files } from './load.ts';

type Json = Record<string, unknown>;

const bytesOf = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const jsonOf = (files: Files, file: string): Json => JSON.parse(new TextDecoder().decode(files[file]));

/** The layouts of a model besides its own, by what they are. */
export function layouts(files: Files): Record<string, Files> {
  const older = vocabularyFiles(files);
  return {
    ...(older && { 'vocabulary files': older }),
    shards: shards(files),
    'sentence-transformers': sentence(files),
  };
}

/** As transformers wrote a tokenizer before there was a tokenizer.json; undefined where its class read other files. */
function vocabularyFiles(files: Files): Files | undefined {
  const { 'tokenizer.json': tokenizer, 'tokenizer_config.json': config, ...rest } = files;
  const model = jsonOf(files, 'tokenizer.json').model as {
    type: string;
    vocab: Record<string, number>;
    merges?: unknown[];
  };
  const settings = jsonOf(files, 'tokenizer_config.json');
  const special = Object.entries(settings).filter(([key]) => /^(unk|cls|sep|pad|mask|bos|eos)_token$/.test(key));
  const withFlags = (content: unknown) => ({
    content,
    lstrip: true,
    rstrip: false,
    normalized: false,
    single_word: false,
  });
  const named = Object.fromEntries(special.map(([key, token], i) => [key, i % 2 ? withFlags(token) : token]));
  const ids = Object.values(model.vocab);
  const common = {
    ...rest,
    'tokenizer_config.json': bytesOf({ model_max_length: 64, truncation_side: 'left' }),
    'special_tokens_map.json': bytesOf({ ...named, additional_special_tokens: ['<new>', withFlags('<newer>')] }),
    'added_tokens.json': bytesOf({ '<new>': Math.max(...ids) + 1, 'new word': Math.max(...ids) + 2 }),
  };
  if (model.type === 'WordPiece') {
    const tokens = Object.keys(model.vocab).sort((a, b) => model.vocab[a]! - model.vocab[b]!);
    return { ...common, 'vocab.txt': bytesOf(`${tokens.join('\n')}\n`) };
  }
  if (jsonOf(files, 'config.json').model_type !== 'roberta') return undefined;
  const merges = model.merges!.map(merge => (Array.isArray(merge) ? merge.join(' ') : merge));
  return {
    ...common,
    'vocab.json': bytesOf(model.vocab),
    'merges.txt': bytesOf(`#version: 0.2\n${merges.join('\n')}\n`),
  };
}

/** The tensors in three files, one of them in a folder. */
function shards(files: Files): Files {
  const { 'model.safetensors': whole, ...rest } = files;
  const tensors = Object.entries(readTensors(whole!));
  const names = ['model-1.safetensors', 'model-2.safetensors', 'more/model-3.safetensors'];
  const parts = new Map(names.map(name => [name, {} as Record<string, TensorBytes>]));
  const weightMap: Record<string, string> = {};
  for (const [i, [name, tensor]] of tensors.entries()) {
    weightMap[name] = names[i % names.length]!;
    parts.get(weightMap[name]!)![name] = tensor;
  }
  const total_size = tensors.reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
  return {
    ...rest,
    ...Object.fromEntries([...parts].map(([name, own]) => [name, safetensors(own)])),
    'model.safetensors.index.json': bytesOf({ metadata: { total_size }, weight_map: weightMap }),
  };
}

/** With prompts, several poolings, a dense layer and a length of its own. */
function sentence(files: Files): Files {
  const { hidden_size } = jsonOf(files, 'config.json') as { hidden_size?: number };
  const size = hidden_size ?? 32;
  const module = (idx: number, path: string, type: string) => ({ idx, name: `${idx}`, path, type });
  const models = 'sentence_transformers.models';
  return {
    ...files,
    'modules.json': bytesOf([
      module(0, '', `${models}.Transformer`),
      module(1, '1_Pooling', `${models}.Pooling`),
      module(2, '2_Dense', `${models}.Dense`),
      module(3, '3_Normalize', 'sentence_transformers.sentence_transformer.modules.Normalize'),
    ]),
    'config_sentence_transformers.json': bytesOf({
      model_type: 'SentenceTransformer',
      prompts: { query: 'query: ', document: '' },
      default_prompt_name: 'query',
      similarity_fn_name: 'dot',
      truncate_dim: 16,
    }),
    'sentence_bert_config.json': bytesOf({ max_seq_length: 32, do_lower_case: true }),
    '1_Pooling/config.json': bytesOf({
      word_embedding_dimension: size,
      pooling_mode_cls_token: true,
      pooling_mode_mean_tokens: true,
      pooling_mode_mean_sqrt_len_tokens: false,
      include_prompt: false,
    }),
    '2_Dense/config.json': bytesOf({
      in_features: 2 * size,
      out_features: size,
      bias: true,
      activation_function: 'torch.nn.modules.activation.Tanh',
    }),
    '2_Dense/model.safetensors': safetensors({
      'linear.weight': { dtype: 'F32', shape: [size, 2 * size], bytes: new Uint8Array(8 * size * size) },
      'linear.bias': { dtype: 'F32', shape: [size], bytes: new Uint8Array(4 * size) },
    }),
    '3_Normalize/config.json': bytesOf({ module_input_name: 'sentence_embedding' }),
  };
}
