import { outputOf, slicesOf } from '../api/index.ts';
import { InputError, wrong } from '../errors.ts';
import { MAX_K, type SequenceOutputs } from '../plan/index.ts';
import { type WithTruncated, withFacts } from './answers.ts';
import { count, listOf, string, textList } from './arguments.ts';
import { ranked, softmaxOf } from './scores.ts';
import { type RunOptions, Session } from './session.ts';

export interface FillMaskOptions {
  /** How many tokens to report for a mask. Default: 5. */
  top_k?: number;
  /** Report only these tokens. A target that is not a token is tokenised, and its first token is taken. */
  targets?: string | readonly string[] | null;
}

export interface FilledMask {
  /** The token's probability: a softmax over the whole vocabulary. */
  score: number;
  /** The token's id. */
  token: number;
  token_str: string;
  /** The text with this mask filled. */
  sequence: string;
}

/** The likeliest tokens for one mask, likeliest first. */
export interface MaskCandidates {
  ids: readonly number[];
  /** Their probabilities: a softmax over the whole vocabulary. */
  scores: readonly number[];
}

/** A mask of a text: its place among the text's tokens, and the tokens that may fill it. */
export interface FillableMask {
  place: number;
  candidates: MaskCandidates;
}

/** The places of a text's masks. Throws InputError if there is none. */
export function maskPlaces(ids: readonly number[], mask: { id: number; token: string }): number[] {
  const places = ids.flatMap((id, place) => (id === mask.id ? [place] : []));
  if (places.length > 0) return places;
  throw new InputError({
    what: `the text has no mask token (${mask.token})`,
    next: `Write ${mask.token} where a token is wanted; a text that was cut may have lost it.`,
  });
}

/** `top_k`, at most the number of targets, and the ids of `targets`, ascending, each once. Throws InputError. */
export function fillMaskOptions(
  options: FillMaskOptions,
  tokenToId: (token: string) => number | undefined,
  encode: (text: string) => readonly number[],
): { topK: number; targets: readonly number[] | undefined } {
  const topK = count('top_k', options.top_k, { fallback: 5 });
  if ((options.targets ?? null) === null) return { topK, targets: undefined };
  const texts = listOf('targets', typeof options.targets === 'string' ? [options.targets] : options.targets, string);
  const ids = texts.flatMap(target => tokenToId(target) ?? encode(target).slice(0, 1));
  if (ids.length === 0) throw wrong('targets', texts[0], 'texts of which at least one has a token');
  const targets = [...new Set(ids)].sort((a, b) => a - b);
  return { topK: Math.min(topK, targets.length), targets };
}

/**
 * The tokens with the `topK` greatest logits; of equal logits the first. Sorted by logits and not by scores: the scores of unlikely
 * tokens may be equal where their logits are not, and the GPU, which sorts too, must give the same order.
 * @param scoreOf a logit's probability
 * @param ids the token of each logit; without them a logit's index is its token
 */
export function likeliest(
  logits: ArrayLike<number>,
  { topK, scoreOf, ids }: { topK: number; scoreOf: (logit: number) => number; ids?: readonly number[] | undefined },
): MaskCandidates {
  const best = ranked(logits, topK);
  return { ids: best.map(i => ids?.[i] ?? i), scores: best.map(i => scoreOf(logits[i]!)) };
}

/** The likeliest tokens, of `targets` if there are any, by the logits [V] of one mask. */
export function candidates(
  logits: ArrayLike<number>,
  { topK, targets }: { topK: number; targets?: readonly number[] | undefined },
): MaskCandidates {
  const scoreOf = softmaxOf(logits);
  return likeliest(targets?.map(id => logits[id]!) ?? logits, { topK, scoreOf, ids: targets });
}

/**
 * The answers for the masks of a text: a list for one mask, a list of lists for several, as in Python. Each mask is filled alone;
 * the others stay.
 * @param ids the tokens of the text
 * @param decode the tokenizer's `decode`
 * @param padId the id of padding, which is left out of the sequences
 */
export function fillMask(
  ids: readonly number[],
  masks: readonly FillableMask[],
  {
    decode,
    padId,
  }: {
    decode: (ids: readonly number[], options: { skip_special_tokens: boolean }) => string;
    padId?: number | undefined;
  },
): FilledMask[] | FilledMask[][] {
  // With several masks, the sequences show those that are not filled.
  const skip_special_tokens = masks.length === 1;
  const lists = masks.map(({ place, candidates }) =>
    candidates.ids.map((token, k) => {
      const filled = ids.with(place, token).filter(id => id !== padId);
      const token_str = decode([token], { skip_special_tokens: false });
      return { score: candidates.scores[k]!, token, token_str, sequence: decode(filled, { skip_special_tokens }) };
    }),
  );
  return masks.length === 1 ? lists[0]! : lists;
}

type Options = FillMaskOptions & RunOptions;
/** The answers for a text with one mask, or with several. */
type Masks = FilledMask[] | FilledMask[][];

/** Texts with masks -> the likeliest tokens, as transformers.js's FillMaskPipeline; several masks in a text as Python's. */
export class FillMask extends Session<'logits'> {
  /**
   * [{ score, token, token_str, sequence }] for a text with one mask, a list of such lists for a text with several; for a list of
   * texts, a list of either. No type can count masks: the result is typed as that of one mask, unless another type is named.
   *
   * The logits [V] are computed for the masks alone. The GPU finds the best up to a `top_k` of 64; beyond that, and for `targets`, all
   * logits of the masks are read back, 4 bytes a token and mask.
   * Throws InputError (also for a text without a mask), DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await unmasker('Paris is the [MASK] of France.', { top_k: 3 });
   *   await unmasker<FilledMask[][]>('[MASK] is the [MASK] of France.');
   */
  _call<Answer extends Masks = FilledMask[]>(
    text: string,
    options?: Options | null,
  ): Promise<WithTruncated<Answer, boolean>>;
  _call<Answer extends Masks = FilledMask[]>(
    texts: readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<Answer, boolean>[]>;
  _call<Answer extends Masks = FilledMask[]>(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<Answer, boolean> | WithTruncated<Answer, boolean>[]>;
  async _call(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<Masks, boolean> | WithTruncated<Masks, boolean>[]> {
    const callOptions = this.checkedOptions(options, ['top_k', 'targets']);
    const list = textList(texts, string);
    const { special } = this.tokenizer.text;
    const mask = special.mask ?? { id: -1, token: 'none in this vocabulary' };
    const { vocabSize } = this.engine.config;
    const { topK: wantedTopK, targets } = fillMaskOptions(
      callOptions,
      token => this.tokenizer.text.tokenToId(token),
      text => this.tokenizer.encode(text, { add_special_tokens: false }),
    );
    const targetIds = [...(targets ?? [])];
    this.checkTokens({ ids: targetIds, tokens: targetIds.map(id => this.tokenizer.text.idToToken(id)!) });
    const topK = Math.min(wantedTopK, vocabSize);
    // The logits of targets need not be among the best, and a long list is sorted faster here than found one by one on the GPU.
    const readsLogits = targets !== undefined || topK > MAX_K;
    // All texts are encoded first: a text without a mask is an error before anything runs.
    const encodings = list.map(text => {
      const [encoding] = this.encode(text);
      return { ...encoding!, masked: maskPlaces(encoding!.ids, mask) };
    });
    // Python's default if the file is silent; transformers.js's would take spaces from the sequences.
    const clean_up_tokenization_spaces = this.tokenizer.config.clean_up_tokenization_spaces === true;
    const decode = (ids: readonly number[], { skip_special_tokens }: { skip_special_tokens: boolean }) =>
      this.tokenizer.decode(ids, { skip_special_tokens, clean_up_tokenization_spaces });
    const { results } = await this.forward(
      {
        texts: encodings,
        encode: encoding => [encoding],
        read: (outputs, { ids, masked, truncated, tokens }) => {
          const logits = readsLogits ? outputOf(outputs, 'logits') : undefined;
          const masks = masked.map((place, m) => ({
            place,
            candidates: logits
              ? candidates(logits.subarray(m * vocabSize, (m + 1) * vocabSize), { topK, targets })
              : joinTopK(outputs, m, topK),
          }));
          const answer = fillMask(ids, masks, { decode, padId: special.pad?.id });
          return withFacts(answer, { truncated, tokens: tokens.length });
        },
        request: { head: { kind: 'MaskedLM', picked: true, ...(!readsLogits && { topK }) } },
      },
      callOptions,
    );
    const answers = results.flat(1);
    return Array.isArray(texts) ? answers : answers[0]!;
  }
}

/**
 * The likeliest tokens for the mask number `mask` of a sequence. Each slice of the vocabulary gives, for every mask, the
 * greatest logit, the sum of exp(logit - greatest), and pairs of a logit and its index in the slice: see shaders/top-k.ts.
 */
function joinTopK(outputs: SequenceOutputs, mask: number, topK: number): MaskCandidates {
  const slices = slicesOf(outputs, 'top').map(({ first, columns, data }) => {
    const [maximum = 0, sum = 0, ...pairs] = data.subarray(mask * columns, (mask + 1) * columns);
    return { first, maximum, sum, pairs };
  });
  const greatest = Math.max(...slices.map(({ maximum }) => maximum));
  const total = slices.reduce((partial, { maximum, sum }) => partial + sum * Math.exp(maximum - greatest), 0);
  const logits = slices.flatMap(({ pairs }) => pairs.filter((_, i) => i % 2 === 0));
  const ids = slices.flatMap(({ first, pairs }) => pairs.filter((_, i) => i % 2 === 1).map(index => first + index));
  return likeliest(logits, { topK, scoreOf: logit => Math.exp(logit - greatest) / total, ids });
}
