import { outputOf } from '../api/index.ts';
import type { SentenceModules, SentenceSettings } from '../engine/index.ts';
import { lowerCased, type PooledWindow, type PromptOptions, promptOf } from '../tasks/index.ts';
import type { Encoding } from '../text/index.ts';
import { type OverflowOptions, type Ran, type RunOptions, Session } from './session.ts';

/** What the modules are where a checkpoint has none: the usual. */
export const MEAN: SentenceModules = { pooling: ['mean'], includePrompt: true, dense: [], files: [], normalize: false };

/** How texts are tokenised and pooled. */
export interface Recipe extends Pick<SentenceModules, 'pooling' | 'includePrompt' | 'dense'> {
  /** Whether rows are scaled to length 1 on the GPU. */
  readonly normalize: boolean;
  /** Stands before every text. */
  readonly prompt: string;
  /** Of the transformer, where texts are encoded as its own library does. */
  readonly settings?: Pick<SentenceSettings, 'maxLength' | 'lowerCase'> | undefined;
}

/** A pipeline that makes vectors of texts. */
export class Embedder extends Session<'last_hidden_state' | 'pooler_output'> {
  /** The prompt of a call; the checkpoint's default one only where the call does what sentence-transformers' encode() does. */
  protected prompt(options: PromptOptions, isEncode: boolean): Promise<string> {
    return promptOf(options, () => this.sentence.settings, isEncode);
  }

  /** The windows of every text, pooled; without a pooling the rows of their tokens. */
  protected pooledWindows(
    texts: readonly string[],
    { pooling, includePrompt, dense, normalize, prompt, settings }: Recipe,
    options: RunOptions & OverflowOptions,
  ): Promise<Ran<PooledWindow>> {
    const { maxLength, lowerCase } = settings ?? {};
    const read = (text: string) => (lowerCase ? lowerCased(text, this.tokenizer.all_special_tokens) : text);
    const limits = { overflow: options.overflow, stride: options.stride, maxLength };
    const taken = prompt === '' || includePrompt ? 0 : this.#promptTokens(read(prompt), limits);
    return this.forward(
      texts,
      text => withoutPrompt(this.encode(read(prompt + text), limits), taken, options.stride ?? 0),
      (out, { ids, unpooled }): PooledWindow => ({
        row: outputOf(out, pooling.length > 0 ? 'embedding' : 'last_hidden_state'),
        tokens: ids.length,
        unpooled: unpooled ?? 0,
      }),
      options,
      pooling.length > 0 ? { pool: { pooling, normalize, dense } } : { lastHiddenState: true },
    );
  }

  /** How many tokens at the start of a text are its prompt's, as sentence-transformers counts them: all but a special one at its end. */
  #promptTokens(prompt: string, { maxLength }: { maxLength: number | undefined }): number {
    const [{ ids }] = this.encode(prompt, { maxLength }) as [Encoding];
    const { allSpecialIds } = this.tokenizer.text;
    return ids.length - (ids.length > 0 && allSpecialIds.includes(ids.at(-1)!) ? 1 : 0);
  }
}

/** The windows of a text with the number of tokens that are its prompt's, which is cut where it is longer than a window. */
function withoutPrompt(
  windows: readonly Encoding[],
  taken: number,
  stride: number,
): readonly (Encoding & { unpooled?: number })[] {
  if (taken === 0) return windows;
  const isAdded = ({ specialTokensMask }: Encoding, i: number) => specialTokensMask[i] === 1;
  const [first] = windows as [Encoding];
  let leading = 0;
  while (leading < taken && isAdded(first, leading)) leading++;
  /** Tokens of the prompt itself that stand at or after the start of a window. */
  let left = taken - leading;
  return windows.map((window, i) => {
    const unpooled = i === 0 || left > 0 ? leading + left : 0;
    left -= window.ids.filter((_, place) => !isAdded(window, place)).length - stride;
    return { ...window, unpooled };
  });
}
