import type { ModelSource } from '../checkpoint/source/index.ts';
import type { TokenModules } from '../engine/index.ts';
import type { HeadKind } from '../model/index.ts';
import { multiVectorLayout } from './multi-vector-layout.ts';
import { readRepository } from './repository.ts';
import { sparseLayout, tablesOf } from './sparse-layout.ts';
import { askForStaticWeights } from './static-weights.ts';

/** A class of vectors by its name. */
export type VectorClass = 'SparseEncoder' | 'MultiVectorEncoder';

/** What a model of such a class is, as far as its small files tell. */
export interface VectorFiles {
  /** The folder of the encoder's files, and of the tokenizer's; '' for the top folder. */
  readonly folder: string;
  readonly head: HeadKind | undefined;
  /** What makes rows of the hidden states: see MultiVectorLayout. Undefined: nothing. */
  readonly modules: ((source: ModelSource) => Promise<TokenModules>) | undefined;
}

/**
 * Asks for every file that `from_pretrained` of a class reads beside the files of the encoder and its tokenizer, and reads the small ones.
 * Throws UnsupportedError for a repository of another kind, SourceError.
 */
export async function askForVectorFiles(source: ModelSource, name: VectorClass): Promise<VectorFiles> {
  const repository = await readRepository(source);
  if (name === 'MultiVectorEncoder') {
    const { folder, modules } = await multiVectorLayout(source, repository);
    return { folder, head: undefined, modules };
  }
  const layout = await sparseLayout(source, repository);
  await Promise.all(tablesOf(layout).map(folder => askForStaticWeights(source, folder)));
  return { folder: layout.folder, head: 'MaskedLM', modules: undefined };
}
