import type { TensorInfo } from './types.ts';

/** What stands before the encoder's names in a checkpoint that has a head: `bert.embeddings...`. */
const PREFIXES = ['', 'bert.', 'model.', 'module.', 'module.bert.'];

/** Spellings of one tensor in older checkpoints (those converted from TensorFlow name the norm's vectors gamma and beta). */
const spellings = (name: string): string[] => [
  name,
  name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
];

/**
 * The tensor of a checkpoint that has this canonical name (the one it has in a BertModel), or undefined.
 * `anchor` is a tensor that every checkpoint of the family has: its place tells the prefix of all others.
 */
export function tensorFinder(
  tensors: ReadonlyMap<string, TensorInfo>,
  anchor: string,
): (canonical: string) => TensorInfo | undefined {
  const prefix = PREFIXES.find(p => tensors.has(p + anchor)) ?? '';
  return canonical => {
    for (const p of prefix === '' ? [''] : [prefix, '']) {
      for (const name of spellings(canonical)) {
        const tensor = tensors.get(p + name);
        if (tensor) return tensor;
      }
    }
    return undefined;
  };
}
