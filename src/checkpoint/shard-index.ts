import { CheckpointError } from '../errors.ts';
import type { TensorInfo } from './types.ts';

/** model.safetensors.index.json: which tensor lies in which file. */
export interface ShardIndex {
  /** Each once, in the order in which the index first names them. */
  files: string[];
  weightMap: ReadonlyMap<string, string>;
}

/** Whether a file name stays in its folder on every kind of source: no way up, no root, scheme, query or escape. */
export function isSafePath(file: string): boolean {
  return /^[\w-][\w. +@=,~-]*(\/[\w-][\w. +@=,~-]*)*$/.test(file);
}

/** @throws CheckpointError where the index has no weight_map, or one that names something other than safe file names */
export function parseShardIndex(value: unknown, file: string): ShardIndex {
  const map = typeof value === 'object' && value !== null && 'weight_map' in value ? value.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new CheckpointError({
      file,
      what: `${file} has no weight_map`,
      expected: 'an object from tensor names to file names',
      next: 'Save the checkpoint again.',
    });
  }
  const weightMap = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map) as [string, unknown][]) {
    if (typeof shard !== 'string' || !isSafePath(shard) || !shard.endsWith('.safetensors')) {
      throw new CheckpointError({
        file,
        tensor,
        what: `${file} names an unusable file for tensor "${tensor}"`,
        actual: JSON.stringify(shard),
        expected: 'the name of a .safetensors file beside the index, without "..", a leading "/" or a scheme',
      });
    }
    weightMap.set(tensor, shard);
  }
  return { files: [...new Set(weightMap.values())], weightMap };
}

/** @throws CheckpointError unless the shards hold exactly the tensors of the index, each in the file that it names */
export function checkShards(index: ShardIndex, tensors: ReadonlyMap<string, TensorInfo>, file: string): void {
  for (const [name, shard] of index.weightMap) {
    const found = tensors.get(name)?.file;
    if (found === shard) continue;
    throw new CheckpointError({
      file: shard,
      tensor: name,
      what: `tensor "${name}" is not in ${shard}, where ${file} has it`,
      actual: found ?? 'no file that holds it',
      next: 'The shards and the index are of different versions: get all of them again.',
    });
  }
  for (const { name, file: shard } of tensors.values()) {
    if (index.weightMap.has(name)) continue;
    throw new CheckpointError({
      file: shard,
      tensor: name,
      what: `${shard} holds tensor "${name}", which ${file} does not know`,
      next: 'The shards and the index are of different versions: get all of them again.',
    });
  }
}
