import { InputError, wrong } from '../errors.ts';
import { count, listOf, text } from './arguments.ts';
import { ranked, softmaxOf } from './scores.ts';

export interface FillMaskOptions {
  /** How many tokens to report for a mask. Default: 5. */
  top_k?: number;
  /** Only these tokens are asked for. What is no token is tokenised, and its first token taken. */
  targets?: string | readonly string[] | null;
}

export interface FilledMask {
  score: number;
  /** The token's id. */
  token: number;
  token_str: string;
  /** The text with this mask filled. */
  sequence: string;
}

/** The tokens that may stand for one mask, likeliest first; scores are probabilities over the whole vocabulary. */
export interface MaskCandidates {
  ids: readonly number[];
  scores: readonly number[];
}

/** The places of a text's masks. Throws InputError where there is none. */
export function maskPlaces(ids: readonly number[], mask: { id: number; token: string }): number[] {
  const places = ids.flatMap((id, place) => (id === mask.id ? [place] : []));
  if (places.length > 0) return places;
  throw new InputError({
    what: `the text has no mask token (${mask.token})`,
    next: `Write ${mask.token} where a token is wanted; a text that was cut may have lost it.`,
  });
}

/** Options checked, targets as ids in ascending order, each once. Throws InputError. */
export function fillMaskOptions(
  options: FillMaskOptions,
  tokenToId: (token: string) => number | undefined,
  encode: (text: string) => readonly number[],
): { topK: number; targets: readonly number[] | undefined } {
  const topK = count('top_k', options.top_k, 5);
  if ((options.targets ?? null) === null) return { topK, targets: undefined };
  const given = listOf('targets', typeof options.targets === 'string' ? [options.targets] : options.targets, text);
  const ids = given.flatMap(target => tokenToId(target) ?? encode(target).slice(0, 1));
  if (ids.length === 0) {
    throw wrong('targets', given[0], 'texts of which at least one has a token');
  }
  const targets = [...new Set(ids)].sort((a, b) => a - b);
  return { topK: Math.min(topK, targets.length), targets };
}

/**
 * The tokens of the greatest logits, of equals the first. By logits and not by scores: scores of unlikely tokens may be equal where
 * their logits are not, and the order must be the same whoever has sorted.
 * @param ids The tokens that the logits are of, where these are not those of the whole vocabulary.
 */
export function likeliest(
  logits: ArrayLike<number>,
  topK: number,
  score: (logit: number) => number,
  ids?: readonly number[],
): MaskCandidates {
  const best = ranked(logits, topK);
  return { ids: best.map(i => ids?.[i] ?? i), scores: best.map(i => score(logits[i]!)) };
}

/** The likeliest tokens by the logits [V] of one mask. */
export function candidates(
  logits: ArrayLike<number>,
  { topK, targets }: { topK: number; targets?: readonly number[] | undefined },
): MaskCandidates {
  const score = softmaxOf(logits);
  return likeliest(targets?.map(id => logits[id]!) ?? logits, topK, score, targets);
}

/**
 * The answers for every mask of a text: a list, or for several masks a list of lists, as in Python; each mask is filled
 * alone, the others stay.
 * @param decode The tokenizer's `decode`; `padId` where ids may hold padding.
 */
export function fillMask(
  ids: readonly number[],
  places: readonly number[],
  found: readonly MaskCandidates[],
  decode: (ids: readonly number[], options: { skip_special_tokens: boolean }) => string,
  padId?: number,
): FilledMask[] | FilledMask[][] {
  const skip_special_tokens = places.length === 1;
  const lists = places.map((place, i) =>
    found[i]!.ids.map((token, k) => {
      const filled = ids.with(place, token).filter(id => id !== padId);
      const token_str = decode([token], { skip_special_tokens: false });
      return { score: found[i]!.scores[k]!, token, token_str, sequence: decode(filled, { skip_special_tokens }) };
    }),
  );
  return skip_special_tokens ? lists[0]! : lists;
}
