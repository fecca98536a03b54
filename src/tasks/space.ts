import type { PoolRequest } from '../model/index.ts';
import type { Precision } from './precision.ts';

/** What decides whether two embeddings may be compared. */
export interface SpaceFacts {
  /** The model, and what tells its versions apart: the commit, or bits of its files. */
  readonly model: string;
  readonly revision: string;
  readonly dtype: string;
  readonly chain: PoolRequest;
  /** 'before cut': rows were scaled to length 1, then columns were cut. */
  readonly normalize: boolean | 'before cut';
  /** Columns that are kept. */
  readonly dims: number;
  readonly precision: Precision;
  /** For the precisions 'int8' and 'uint8': bits of the ranges. */
  readonly ranges?: string | undefined;
  /** See promptSpace. */
  readonly prompt: string;
}

/**
 * A string that is the same for two embeddings exactly if they may be compared: a JSON text whose fields stand in one order. Modules
 * between tokens and row are the checkpoint's, so that their number is enough.
 */
export function spaceOf({
  model,
  revision,
  dtype,
  chain,
  normalize,
  dims,
  precision,
  ranges,
  prompt,
}: SpaceFacts): string {
  const { pooling, tokenSteps = [], rowSteps = [] } = chain;
  const modules = tokenSteps.length + rowSteps.length;
  const named = [pooling].flat();
  return JSON.stringify({
    model,
    revision,
    dtype,
    pooling: named.length > 0 ? named.join('+') : 'none',
    ...(modules > 0 && { modules }),
    normalize,
    dims,
    precision,
    ...(ranges !== undefined && { ranges }),
    prompt,
  });
}

/**
 * The prompt as a part of a space. A query and a document are made to be compared, so the checkpoint's prompts for them are one part,
 * 'retrieval'; any other text is a part by itself, as a JSON string. No prompt is the empty text.
 * @param prompts the checkpoint's, by name
 */
export function promptSpace(prompt: string, prompts: Readonly<Record<string, string>>): string {
  const isRetrieval = prompt === (prompts.query ?? '') || prompt === (prompts.document ?? '');
  return isRetrieval ? 'retrieval' : JSON.stringify(prompt);
}

/** 32 bits of texts as eight hexadecimal digits: FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv) over their UTF-16 units. */
export function textBits(texts: Iterable<string>): string {
  let hash = 0x811c9dc5;
  for (const text of texts) {
    // The length keeps neighbouring texts apart.
    hash = Math.imul(hash ^ text.length, 0x01000193);
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
