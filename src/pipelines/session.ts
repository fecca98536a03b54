import { Callable, type CallableModel, type OutputName, outputOf, type PreTrainedTokenizer } from '../api/index.ts';
import type { ProgressCallback } from '../checkpoint/source/index.ts';
import type { Engine, SentenceFiles } from '../engine/index.ts';
import { describe, InputError } from '../errors.ts';
import { checkSequence, type EncoderRequest } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { checkNames, choice, count } from '../tasks/index.ts';
import type { EncodeOptions, Encoding, TextInput } from '../text/index.ts';

/** What every call of every pipeline takes. */
export interface RunOptions {
  /** Aborts the call: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Gets { status: 'run', task, progress, loaded, total } whenever texts are done: `loaded` of `total`, `progress` in per cent.
   * The last says 100. What it throws rejects the call.
   */
  progress_callback?: ProgressCallback | null;
}

/** What to do with a text that is longer than the model takes. */
export interface OverflowOptions {
  /** 'truncate' cuts it, as transformers.js does; 'error' throws; 'window' runs all of it in windows. Default: 'truncate'. */
  overflow?: 'truncate' | 'error' | 'window';
  /** By how many tokens windows overlap. Default: 0. */
  stride?: number;
}

export const OVERFLOW_NAMES = ['overflow', 'stride'] as const;

/** A sequence of a text: all of it, or a part. */
type Window = Encoding & {
  /** The tokens that a head is wanted for alone, by their places. */
  readonly masked?: readonly number[];
  /** How many tokens at its start are left out where it is pooled. */
  readonly unpooled?: number;
};

/** What a pipeline is made of, under transformers.js's names. */
export interface SessionParts<Given extends OutputName = OutputName> {
  readonly task: string;
  readonly model: CallableModel<Given>;
  readonly tokenizer: PreTrainedTokenizer;
  readonly engine: Engine;
  /** What sentence-transformers wrote into the checkpoint. */
  readonly sentence: SentenceFiles;
}

/** What became of some texts. */
export interface Ran<Read> {
  /** Of each text what was read of each of its windows. */
  readonly found: Read[][];
  /** Of each text whether it was cut. */
  readonly truncated: boolean[];
}

/** The logits of a sequence, for `forward`. */
export const logitsOf = (outputs: SequenceOutputs): Float32Array => outputOf(outputs, 'logits');

/** A pipeline at rest: a model on a device and its tokenizer. */
export class Session<Given extends OutputName = OutputName> extends (Callable as new () => object) {
  declare readonly task: string;
  declare readonly model: CallableModel<Given>;
  declare readonly tokenizer: PreTrainedTokenizer;
  declare protected readonly engine: Engine;
  declare protected readonly sentence: SessionParts['sentence'];

  constructor(parts: SessionParts<Given>) {
    super();
    Object.assign(this, parts);
  }

  /** Gives back everything it holds on the GPU. */
  async dispose(): Promise<void> {
    await this.model.dispose();
  }

  /** The most tokens a sequence may have. */
  protected get longest(): number {
    return Math.min(this.tokenizer.text.modelMaxLength, this.engine.config.maxPositions);
  }

  /** The options of a call: those with the given names, and those of every pipeline. */
  protected options<Options extends object>(given: Options | null | undefined, ...names: readonly string[]): Options {
    return checkNames(this.task, given, [...names, 'signal', 'progress_callback']);
  }

  /**
   * One encoding, or with overflow 'window' as many as the text needs. Throws InputError with overflow 'error'. A `maxLength` of
   * sentence-transformers goes before the tokenizer's own; no sequence has more tokens than the model has positions.
   */
  protected encode(
    text: TextInput,
    { overflow, stride, maxLength, pair, truncation, isSplitIntoWords, remedy }: EncodeOptions & OverflowOptions = {},
  ): Encoding[] {
    const how = choice('overflow', overflow, ['truncate', 'error', 'window'] as const, 'truncate');
    const longest = maxLength === undefined ? this.longest : Math.min(maxLength, this.engine.config.maxPositions);
    const options = {
      maxLength: longest,
      pair,
      truncation,
      isSplitIntoWords,
      remedy,
      stride: count('stride', stride, 0, 0),
    };
    if (how === 'window') return this.tokenizer.text.encodeWindows(text, options);
    const encoding = this.tokenizer.text.encode(text, options);
    if (how === 'truncate' || !encoding.truncated) return [encoding];
    throw new InputError({
      what: 'a text is longer than the model takes',
      actual: describe(text),
      expected: `at most ${longest} tokens`,
      next: "Pass overflow: 'window' for all of it, or 'truncate' for its beginning.",
    });
  }

  /**
   * A tokenizer may have more tokens than the model has embeddings, as where one was added and the model not resized: that
   * matters only where such a token occurs. Throws InputError there.
   */
  protected checkTokens({ ids, tokens }: Pick<Encoding, 'ids' | 'tokens'>): void {
    const { vocabSize } = this.engine.config;
    const at = ids.findIndex(id => id >= vocabSize);
    if (at < 0) return;
    throw new InputError({
      what: `the model has no embedding for the token ${JSON.stringify(tokens[at])}`,
      actual: `id ${ids[at]} of a tokenizer with ${this.tokenizer.text.vocabSize} tokens`,
      expected: `an id below ${vocabSize}, the vocab_size of config.json`,
      next: 'Leave that token out of the text, or take the tokenizer that belongs to this model.',
    });
  }

  /**
   * Runs texts, each in as many windows as `encode` gives; those of the next pass are made while the GPU computes this one.
   * What `read` makes of every window as soon as its pass is done, text by text: windows and outputs are not kept.
   * Asks for the head, where nothing else is asked for.
   */
  protected async forward<Text, Own extends Window, Read>(
    texts: readonly Text[],
    encode: (text: Text) => readonly Own[],
    read: (outputs: SequenceOutputs, window: Own, text: Text) => Read,
    { signal, progress_callback, overflow }: RunOptions & OverflowOptions,
    request: EncoderRequest = { head: { kind: this.engine.head! } },
  ): Promise<Ran<Read>> {
    const { config } = this.engine;
    const checkTokens = (window: Window) => this.checkTokens(window);
    const ran: Ran<Read> = { found: [], truncated: [] };
    function* sequences() {
      for (const text of texts) {
        const windows = encode(text);
        const found: Read[] = [];
        ran.found.push(found);
        // A text in windows is whole.
        ran.truncated.push(overflow !== 'window' && windows.some(({ truncated }) => truncated));
        for (const window of windows) {
          const { ids, typeIds: types, masked, unpooled } = window;
          checkTokens(window);
          const isLast = window === windows.at(-1);
          yield { ...checkSequence(config, { ids, types, masked, unpooled }), window, text, found, isLast };
        }
      }
    }
    const { length: total } = texts;
    let loaded = 0;
    await this.engine.run(sequences(), request, {
      signal,
      done: pass => {
        const before = loaded;
        for (const { sequence, outputs } of pass) {
          const { window, text, found, isLast } = sequence;
          found.push(read(outputs, window, text));
          if (isLast) loaded++;
        }
        if (loaded === before) return;
        progress_callback?.({ status: 'run', task: this.task, progress: (100 * loaded) / total, loaded, total });
      },
    });
    return ran;
  }
}

/** An answer that says whether its text was cut: of an answer for several texts, one value for each. */
export type Said<T, Cut extends boolean | readonly boolean[]> = T & { readonly truncated: Cut };

/** What a `top_k` of the type K gives: `One` with 1 or none, `Many` with another, either where only running it tells. */
export type ByTopK<K, One, Many> = K extends 1 | undefined ? One : number extends K ? One | Many : Many;

/**
 * Says of an answer whether its text was cut, without changing its shape: `truncated` is no enumerable property, so a copy, a
 * loop or JSON.stringify sees what transformers.js gives.
 */
export function saying<T extends object, Cut extends boolean | readonly boolean[]>(
  answer: T,
  truncated: Cut,
): Said<T, Cut> {
  return Object.defineProperty(answer, 'truncated', { value: truncated, enumerable: false }) as Said<T, Cut>;
}
