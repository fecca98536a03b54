import { outputOf } from '../api/index.ts';
import type { Engine, ReadSentence, SentenceModules, SentenceSettings, Similarity } from '../engine/index.ts';
import { UnsupportedError } from '../errors.ts';
import type { PoolRequest } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import type { Encoding } from '../text/index.ts';
import type { PooledWindow } from './pooled-windows.ts';
import { lowerCased, type PromptOptions, promptOf } from './prompts.ts';
import { type OverflowOptions, type RunOptions, Session, type SessionParts, type TextResults } from './session.ts';
import { type StaticWindow, staticWindows } from './static-text.ts';

/** The modules of a checkpoint that has no modules.json: the mean of the tokens, as sentence-transformers takes there. */
export const MEAN_POOLING: SentenceModules = {
  pooling: ['mean'],
  includePrompt: true,
  tokenSteps: [],
  rowSteps: [],
  files: [],
  normalize: false,
};

/** How texts are encoded and pooled. Without a pooling, the result has one row for each token. */
export interface Recipe extends Pick<SentenceModules, 'pooling' | 'includePrompt' | 'tokenSteps' | 'rowSteps'> {
  /** Whether the GPU scales the rows to length 1, after all steps. */
  readonly normalize: boolean;
  /** Is put before every text. */
  readonly prompt: string;
  /** The checkpoint's settings, where texts are encoded as sentence-transformers' encode() does. */
  readonly settings?: Pick<SentenceSettings, 'maxLength' | 'lowerCase'> | undefined;
}

/** What training takes of an embedder: how one row is made of a text, and how a text becomes tokens, as encode() of sentence-transformers does it. */
export interface TextReader {
  readonly engine: Engine;
  readonly pool: PoolRequest;
  /** The folder of the encoder's files among those of the model; '' for none. */
  readonly folder: Promise<string>;
  /** The tokens of a text, with a prompt before it; what is longer than the model takes is cut. */
  encode(
    text: string,
    prompt: string,
  ): Pick<Encoding, 'ids' | 'typeIds' | 'truncated'> & { readonly unpooled?: number };
}

/** The base of the pipelines that make vectors of texts. */
export class Embedder extends Session<'last_hidden_state' | 'pooler_output'> {
  /** @internal */
  protected readonly readSentence: ReadSentence;

  /** @internal */
  constructor(parts: SessionParts) {
    super(parts);
    this.readSentence = parts.readSentence;
  }

  /**
   * The checkpoint's prompts by name (config_sentence_transformers.json), for `prompt_name`. There is always one for "query" and one for
   * "document", as in sentence-transformers; where the checkpoint has none, it is ''. Throws SourceError where the file is malformed.
   */
  get prompts(): Readonly<Record<string, string>> {
    return this.readSentence.settings().prompts;
  }

  /**
   * The most tokens that pooling 'model', encode_query and encode_document run of a text, special tokens and prompt included: the
   * checkpoint's `max_seq_length`, as sentence-transformers names it, or what its tokenizer and its positions allow. Infinity where
   * nothing limits it. Throws SourceError where the file is malformed.
   */
  get max_seq_length(): number {
    const { maxLength } = this.readSentence.settings();
    return maxLength === undefined ? this.maxTokens : Math.min(maxLength, this.engine.config.maxPositions);
  }

  /**
   * How sentence-transformers compares two of its embeddings: `similarity_fn_name` of config_sentence_transformers.json, else 'cosine'. Of
   * 'euclidean' and 'manhattan' the distances are negated. Throws SourceError where the file is malformed.
   */
  get similarity_fn_name(): Similarity {
    return this.readSentence.settings().similarity;
  }

  /** @internal The prompt of a call, '' for none. `isEncode`: whether the checkpoint's default prompt applies, as in encode(). */
  protected prompt(options: PromptOptions, isEncode: boolean): Promise<string> {
    return promptOf(options, () => this.sentence.settings, isEncode);
  }

  /**
   * Runs texts; the result of a window is its pooled row [columns], or without a pooling its rows [tokens, C] one behind the other.
   * @internal
   */
  protected pooledWindows(
    texts: readonly string[],
    { pooling, includePrompt, tokenSteps, rowSteps, normalize, prompt, settings }: Recipe,
    options: RunOptions & OverflowOptions,
  ): Promise<TextResults<PooledWindow>> {
    const limits = { overflow: options.overflow, stride: options.stride, maxLength: settings?.maxLength };
    const isPooled = pooling.length > 0;
    const request = isPooled ? { pool: { pooling, normalize, tokenSteps, rowSteps } } : { lastHiddenState: true };
    const rowOf = (outputs: SequenceOutputs) => outputOf(outputs, isPooled ? 'embedding' : 'last_hidden_state');
    const { static: table, maxPositions } = this.engine.config;
    if (table) {
      const windowsOf = staticWindows({
        table,
        tokenizer: this.tokenizer.text,
        maxPositions,
        encode: (text, maxLength) => this.encode(text, { ...limits, maxLength, addSpecialTokens: false }),
        hasWindows: options.overflow === 'window',
      });
      const read = (outputs: SequenceOutputs, { ids, unpooled }: StaticWindow): PooledWindow => {
        const row = rowOf(outputs);
        if (unpooled === 0) return { row, tokens: ids.length, unpooled };
        // Steps were computed from the zero row of a mean.
        const zero = rowSteps.length > 0 ? row : new Float32Array(isPooled ? row.length : 0);
        return { row: zero, tokens: 0, unpooled };
      };
      return this.forward({ texts, encode: text => windowsOf(prompt + text), read, request }, options);
    }
    return this.forward(
      {
        texts,
        encode: this.#windows({ includePrompt, prompt, settings }, options),
        read: (outputs, { ids, unpooled }): PooledWindow => ({
          row: rowOf(outputs),
          tokens: ids.length,
          unpooled: unpooled ?? 0,
        }),
        request,
      },
      options,
    );
  }

  /** The windows of a text, behind a prompt. */
  #windows(
    { includePrompt, prompt, settings }: Pick<Recipe, 'includePrompt' | 'prompt' | 'settings'>,
    { overflow, stride = 0 }: OverflowOptions,
  ): (text: string) => ReturnType<typeof withoutPrompt> {
    const { maxLength, lowerCase } = settings ?? {};
    const cased = (text: string) => (lowerCase ? lowerCased(text, this.tokenizer.all_special_tokens) : text);
    const limits = { overflow, stride, maxLength };
    const isPromptPooled = prompt === '' || includePrompt;
    const promptTokens = isPromptPooled ? 0 : this.#promptTokens(cased(prompt), limits);
    return text => withoutPrompt(this.encode(cased(prompt + text), limits), promptTokens, stride);
  }

  /** @internal Throws SourceError where the files of the modules are malformed, UnsupportedError for a model without layers. */
  static readerOf(embedder: Embedder): TextReader {
    const { engine } = embedder;
    const { includePrompt, files: _, ...pool } = embedder.modules();
    const settings = embedder.readSentence.settings();
    if (engine.config.static) {
      throw new UnsupportedError({
        what: 'a table of vectors without layers cannot be trained',
        supported: ['models with layers'],
      });
    }
    return {
      engine,
      pool,
      folder: embedder.sentence.folder,
      encode: (text, prompt) => embedder.#windows({ includePrompt, prompt, settings }, {})(text)[0]!,
    };
  }

  /** @internal The modules of the checkpoint. Where it has no modules.json: the mean, which model2vec scales where config.json says so. */
  protected modules(): SentenceModules {
    const { config } = this.engine;
    const usual = { ...MEAN_POOLING, normalize: config.static !== undefined && config.raw.normalize === true };
    return this.readSentence.modules() ?? usual;
  }

  /** How many tokens of a text belong to its prompt, as sentence-transformers counts: without a special token at the prompt's end. */
  #promptTokens(prompt: string, { maxLength }: { maxLength: number | undefined }): number {
    const [{ ids }] = this.encode(prompt, { maxLength }) as [Encoding];
    const { allSpecialIds } = this.tokenizer.text;
    const endsInSpecial = ids.length > 0 && allSpecialIds.includes(ids.at(-1)!);
    return endsInSpecial ? ids.length - 1 : ids.length;
  }
}

/**
 * The windows of a text, each with the number of tokens at its start that belong to the prompt. A prompt longer than a window goes on
 * in the next ones.
 * @param promptTokens the tokens of the prompt, with the special tokens before it
 * @param stride by how many tokens two windows overlap
 */
function withoutPrompt(
  windows: readonly Encoding[],
  promptTokens: number,
  stride: number,
): readonly (Encoding & { unpooled?: number })[] {
  if (promptTokens === 0) return windows;
  const isSpecial = ({ specialTokensMask }: Encoding, i: number) => specialTokensMask[i] === 1;
  const [first] = windows as [Encoding];
  let leading = 0;
  while (leading < promptTokens && isSpecial(first, leading)) leading++;
  /** Tokens of the prompt itself that stand at or after the start of the window. */
  let remaining = promptTokens - leading;
  return windows.map((window, i) => {
    const unpooled = i === 0 || remaining > 0 ? leading + remaining : 0;
    remaining -= window.ids.filter((_, place) => !isSpecial(window, place)).length - stride;
    return { ...window, unpooled };
  });
}
