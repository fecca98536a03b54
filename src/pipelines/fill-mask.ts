import { outputOf, slicesOf } from '../api/index.ts';
import { MAX_K, type SequenceOutputs } from '../plan/index.ts';
import {
  candidates,
  type FilledMask,
  type FillMaskOptions,
  fillMask,
  fillMaskOptions,
  likeliest,
  type MaskCandidates,
  maskPlaces,
  text as string,
  textList,
} from '../tasks/index.ts';
import { type RunOptions, type Said, Session, saying } from './session.ts';

type Options = FillMaskOptions & RunOptions;
/** The answers for a text with one mask, or with several. */
type Masks = FilledMask[] | FilledMask[][];

/** Texts with masks -> the likeliest tokens, as transformers.js's FillMaskPipeline; several masks as Python's. */
export class FillMask extends Session<'logits'> {
  /**
   * [{ score, token, token_str, sequence }] of a text with one mask, a list of such lists for several masks; a list of either
   * for a list of texts. The vocabulary is computed for the masks alone, and the best are found on the GPU, if they are no more
   * than 64: of more, and of `targets`, the logits of the whole vocabulary are read back, 4 bytes a token and mask. No type can count
   * masks: `Found` is one mask's, and named where there are several.
   *
   *   await unmasker('Paris is the [MASK] of France.', { top_k: 3 });
   *   await unmasker<FilledMask[][]>('[MASK] is the [MASK] of France.');
   */
  _call<Found extends Masks = FilledMask[]>(text: string, options?: Options | null): Promise<Said<Found, boolean>>;
  _call<Found extends Masks = FilledMask[]>(
    texts: readonly string[],
    options?: Options | null,
  ): Promise<Said<Found, boolean>[]>;
  _call<Found extends Masks = FilledMask[]>(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<Said<Found, boolean> | Said<Found, boolean>[]>;
  async _call(
    texts: string | readonly string[],
    given?: Options | null,
  ): Promise<Said<Masks, boolean> | Said<Masks, boolean>[]> {
    const options = this.options(given, 'top_k', 'targets');
    const list = textList(texts, string);
    const { special } = this.tokenizer.text;
    const mask = special.mask ?? { id: -1, token: 'none in this vocabulary' };
    const { vocabSize } = this.engine.config;
    const chosen = fillMaskOptions(
      options,
      token => this.tokenizer.text.tokenToId(token),
      text => this.tokenizer.encode(text, { add_special_tokens: false }),
    );
    const { targets = [] } = chosen;
    this.checkTokens({ ids: [...targets], tokens: targets.map(id => this.tokenizer.text.idToToken(id)!) });
    const topK = Math.min(chosen.topK, vocabSize);
    // The logits of targets need not be among the best, and a long list is sorted faster here than found one by one on the GPU.
    const readsAll = chosen.targets !== undefined || topK > MAX_K;
    // All texts first: one without a mask is an error before anything runs.
    const encodings = list.map(text => {
      const [encoding] = this.encode(text);
      return { ...encoding!, masked: maskPlaces(encoding!.ids, mask) };
    });
    const head = { kind: 'MaskedLM', picked: true } as const;
    // Python's default where the file is silent; transformers.js's would take spaces from the sequences.
    const clean_up_tokenization_spaces = this.tokenizer.config.clean_up_tokenization_spaces === true;
    const decode: Parameters<typeof fillMask>[3] = (ids, { skip_special_tokens }) =>
      this.tokenizer.decode(ids, { skip_special_tokens, clean_up_tokenization_spaces });
    const { found } = await this.forward(
      encodings,
      encoding => [encoding],
      (out, { ids, masked, truncated }) => {
        const logits = readsAll ? outputOf(out, 'logits') : undefined;
        const best = masked.map((_, m) =>
          logits
            ? candidates(logits.subarray(m * vocabSize, (m + 1) * vocabSize), { ...chosen, topK })
            : topOf(out, m, topK),
        );
        return saying(fillMask(ids, masked, best, decode, special.pad?.id), truncated);
      },
      options,
      { head: readsAll ? head : { ...head, topK } },
    );
    const answers = found.flat(1);
    return Array.isArray(texts) ? answers : answers[0]!;
  }
}

/** Joins the slices of the vocabulary: each gave (maximum, sum of exponentials, pairs of value and place); see shaders/top-k.ts. */
function topOf(out: SequenceOutputs, mask: number, topK: number): MaskCandidates {
  const slices = slicesOf(out, 'top').map(({ first, columns, data }) => {
    const [maximum = 0, sum = 0, ...pairs] = data.subarray(mask * columns, (mask + 1) * columns);
    return { first, maximum, sum, pairs };
  });
  const top = Math.max(...slices.map(({ maximum }) => maximum));
  const total = slices.reduce((all, { maximum, sum }) => all + sum * Math.exp(maximum - top), 0);
  const values = slices.flatMap(({ pairs }) => pairs.filter((_, i) => i % 2 === 0));
  const ids = slices.flatMap(({ first, pairs }) => pairs.filter((_, i) => i % 2 === 1).map(place => first + place));
  return likeliest(values, topK, value => Math.exp(value - top) / total, ids);
}
