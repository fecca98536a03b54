import { describe } from '../../errors.ts';
import { isRecord, isText } from '../../json.ts';
import { isSafePath } from '../source/index.ts';
import { damaged } from './safetensors.ts';
import type { TensorInfo } from './types.ts';

/** The content of model.safetensors.index.json: the file of each tensor. */
export interface ShardIndex {
  /** The names of the files, in the order in which the index first names them. */
  files: string[];
  weightMap: ReadonlyMap<string, string>;
}

/** What to do about an index and shards that do not belong together. */
export const SHARDS = 'Take the index and all of its files from the same revision of the model.';
const INDEX = 'Save the model again with save_pretrained, which writes the index.';

/** @throws CheckpointError where the index has no weight_map, or one that names something other than safe file names */
export function parseShardIndex(value: unknown, file: string): ShardIndex {
  const map = isRecord(value) ? value.weight_map : undefined;
  if (!isRecord(map) || Object.keys(map).length === 0)
    throw damaged(file, `${file} has no weight_map`, { next: INDEX });
  const weightMap = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (!isText(shard) || !isSafePath(shard) || !shard.endsWith('.safetensors')) {
      const what = `${file} names an unusable file for tensor "${tensor}"`;
      const expected = 'the name of a .safetensors file beside it';
      throw damaged(file, what, { actual: describe(shard), expected, next: INDEX, tensor });
    }
    weightMap.set(tensor, shard);
  }
  return { files: [...new Set(weightMap.values())], weightMap };
}

/** @throws CheckpointError unless the shards hold exactly the tensors of the index, each in the file that it names */
export function checkShards(index: ShardIndex, tensors: ReadonlyMap<string, TensorInfo>, file: string): void {
  for (const [name, shard] of index.weightMap) {
    const actual = tensors.get(name)?.file;
    if (actual === shard) continue;
    throw damaged(shard, `tensor "${name}" is not in ${shard}, where ${file} has it`, {
      actual: actual ?? 'no file that holds it',
      next: SHARDS,
      tensor: name,
    });
  }
  for (const { name, file: shard } of tensors.values()) {
    if (index.weightMap.has(name)) continue;
    const what = `${shard} holds tensor "${name}", which ${file} does not know`;
    throw damaged(shard, what, { next: SHARDS, tensor: name });
  }
}
