import { loadTokenizer, type PreTrainedTokenizer, readTokenizerFiles } from '../api/index.ts';
import { matchTensors, openCheckpoint, type TensorDtype, toFloats } from '../checkpoint/file/index.ts';
import { inside, isSafePath, type ModelSource } from '../checkpoint/source/index.ts';
import { optionalFields } from '../engine/index.ts';
import { CheckpointError } from '../errors.ts';
import { Fields } from '../json.ts';
import { inFolderNamed } from './repository.ts';

/** A weight for each token: sentence-transformers' SparseStaticEmbedding. */
export interface StaticWeights {
  readonly tokenizer: PreTrainedTokenizer;
  /** [V] */
  readonly weights: Float32Array;
}

const TENSOR = 'weight';

/**
 * Reads a table of weights and its tokenizer: the tensor `weight` of model.safetensors, or where config.json names a JSON file (`path`)
 * the weights of the tokens in it, 0 for all others. Throws SourceError, CheckpointError, UnsupportedError.
 */
export async function readStaticWeights(source: ModelSource, folder: string): Promise<StaticWeights> {
  const [file, tokenizer] = await Promise.all([
    weightFileIn(source, folder),
    loadTokenizer(inFolderNamed(folder)(source)),
  ]);
  const weights = isJson(file) ? await weightsByToken(source, file, tokenizer) : await weightTensor(source, file);
  return { tokenizer, weights };
}

/** Asks for the files of such a table, and reads no weights. Throws SourceError, UnsupportedError. */
export async function askForStaticWeights(source: ModelSource, folder: string): Promise<void> {
  const [file] = await Promise.all([weightFileIn(source, folder), readTokenizerFiles(inFolderNamed(folder)(source))]);
  await (await source.open(file))!.cancel();
}

/** The file of the weights. */
async function weightFileIn(source: ModelSource, folder: string): Promise<string> {
  const fields = await optionalFields(source, inside(folder, 'config.json'));
  const path = fields.text('path', '');
  if (!isJson(path)) return inside(folder, 'model.safetensors');
  if (!isSafePath(path)) throw fields.malformed(path, 'a JSON file beside it, such as "idf.json"', 'path');
  return inside(folder, path);
}

const isJson = (file: string): boolean => file.endsWith('.json');

async function weightsByToken(source: ModelSource, file: string, { text }: PreTrainedTokenizer): Promise<Float32Array> {
  const fields = new Fields(await source.json(file), '', file);
  const weights = new Float32Array(text.vocabSize);
  for (const [token, weight] of Object.entries(fields.json)) {
    // As in Python, the weight of a token that is not in the vocabulary is that of the unknown token.
    const id = text.tokenToId(token) ?? text.special.unk?.id;
    if (typeof weight !== 'number') throw fields.malformed(weight, 'a number', token);
    if (id !== undefined) weights[id] = weight;
  }
  return weights;
}

async function weightTensor(source: ModelSource, file: string): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(source, { files: [file] });
  try {
    const info = checkpoint.tensors.get(TENSOR);
    if (info?.shape.length !== 1) {
      throw new CheckpointError({
        what: `the table of weights is not in ${file}`,
        actual: info ? `the tensor "${TENSOR}" of shape [${info.shape}]` : [...checkpoint.tensors.keys()].join(', '),
        expected: `a tensor "${TENSOR}" [V]`,
        file,
        tensor: TENSOR,
      });
    }
    // Of a type that can be read.
    matchTensors([{ tensor: TENSOR, shape: info.shape }], () => info);
    const all = new Uint8Array(info.byteLength);
    for await (const { tensor, begin, bytes } of checkpoint.chunks()) if (tensor.name === TENSOR) all.set(bytes, begin);
    const weights = toFloats(all.buffer, info.dtype as TensorDtype);
    const at = weights.findIndex(weight => !Number.isFinite(weight));
    if (at < 0) return weights;
    throw new CheckpointError({
      what: `the tensor "${TENSOR}" is damaged`,
      actual: `${weights[at]} at [${at}]`,
      expected: 'finite numbers',
      next: 'Get the file again, or save the model again from weights that are finite.',
      file,
      tensor: TENSOR,
    });
  } finally {
    await checkpoint.cancel();
  }
}

/** The vector [V] of tokens: the weight of each that occurs, once. Ids without a weight are none of the vector's dimensions. */
export function staticRow(ids: readonly number[], { weights }: StaticWeights): Float32Array {
  const row = new Float32Array(weights.length);
  for (const id of ids) if (id < weights.length) row[id] = weights[id]!;
  return row;
}
