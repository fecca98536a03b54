import type { CallableModel, OutputName } from '../auto.ts';
import { Callable } from '../callable.ts';
import type { ProgressCallback } from '../checkpoint/types.ts';
import type { Engine } from '../engine.ts';
import { InputError, WebGPUBertError } from '../errors.ts';
import type { EncoderRequest } from '../model/encoder.ts';
import { checkSequence } from '../model/input.ts';
import type { SequenceOutputs } from '../plan/passes.ts';
import type { SentenceModules } from '../sentence.ts';
import { choice, count } from '../tasks/arguments.ts';
import type { Encoding } from '../text/encoding.ts';
import type { EncodeOptions } from '../text/tokenizer.ts';
import type { PreTrainedTokenizer } from '../tokenizer.ts';

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

export const RUN_NAMES = ['signal', 'progress_callback'] as const;

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
};

/** A pipeline at rest: a model on a device and its tokenizer, under transformers.js's names. */
export class Session<Given extends OutputName = OutputName> extends (Callable as new () => object) {
  readonly task: string;
  readonly model: CallableModel<Given>;
  readonly tokenizer: PreTrainedTokenizer;
  protected readonly engine: Engine;
  readonly #sentence: SentenceModules | WebGPUBertError | undefined;

  constructor(
    task: string,
    engine: Engine,
    model: CallableModel<Given>,
    tokenizer: PreTrainedTokenizer,
    sentence?: SentenceModules | WebGPUBertError,
  ) {
    super();
    this.#sentence = sentence;
    this.task = task;
    this.engine = engine;
    this.model = model;
    this.tokenizer = tokenizer;
  }

  /** Gives back everything it holds on the GPU. */
  async dispose(): Promise<void> {
    await this.model.dispose();
  }

  /** The modules of a sentence-transformers checkpoint. Throws UnsupportedError or SourceError where one of them is not built, or a file of it is missing or malformed. */
  protected get sentence(): SentenceModules | undefined {
    if (this.#sentence instanceof WebGPUBertError) throw this.#sentence;
    return this.#sentence;
  }

  /** The most tokens a sequence may have. */
  protected get longest(): number {
    return Math.min(this.tokenizer.text.modelMaxLength, this.engine.config.maxPositions);
  }

  protected encode(text: string, options: EncodeOptions = {}): Encoding {
    return this.tokenizer.text.encode(text, { maxLength: this.longest, ...options });
  }

  /** One encoding, or with overflow 'window' as many as the text needs. Throws InputError with overflow 'error'. */
  protected encodeAll(
    text: string,
    pair: string | undefined,
    options: OverflowOptions,
    maxLength = this.longest,
  ): Encoding[] {
    const how = choice('overflow', options.overflow, ['truncate', 'error', 'window'] as const, 'truncate');
    const stride = count('stride', options.stride, 0, 0);
    const encodeOptions = { maxLength, ...(pair !== undefined && { pair }) };
    if (how === 'window') return this.tokenizer.text.encodeWindows(text, { ...encodeOptions, stride });
    const encoding = this.tokenizer.text.encode(text, encodeOptions);
    if (how === 'truncate' || !encoding.truncated) return [encoding];
    throw new InputError({
      what: 'a text is longer than the model takes',
      actual: JSON.stringify(`${text.slice(0, 40)}…`),
      expected: `at most ${maxLength} tokens`,
      next: "Pass overflow: 'window' for all of it, or 'truncate' for its beginning.",
    });
  }

  /**
   * Runs texts, each in as many windows as `encode` gives; those of the next pass are made while the GPU computes this one.
   * What `read` makes of every window as soon as its pass is done, text by text: windows and outputs are not kept.
   */
  protected async forward<Text, Own extends Window, Read>(
    texts: readonly Text[],
    encode: (text: Text) => readonly Own[],
    read: (outputs: SequenceOutputs, window: Own, text: Text) => Read,
    request: EncoderRequest,
    { signal, progress_callback }: RunOptions,
  ): Promise<Read[][]> {
    const { config } = this.engine;
    function* sequences() {
      for (const [place, text] of texts.entries()) {
        const windows = encode(text);
        for (const [i, window] of windows.entries()) {
          const { ids, typeIds: types, masked } = window;
          yield { ...checkSequence(config, { ids, types, masked }), window, place, isLast: i === windows.length - 1 };
        }
      }
    }
    const results = texts.map((): Read[] => []);
    const { length: total } = texts;
    let loaded = 0;
    await this.engine.run(sequences(), request, {
      signal,
      done: ran => {
        const before = loaded;
        for (const { sequence, outputs } of ran) {
          const { window, place, isLast } = sequence;
          results[place]!.push(read(outputs, window, texts[place]!));
          if (isLast) loaded++;
        }
        if (loaded === before) return;
        progress_callback?.({ status: 'run', task: this.task, progress: (100 * loaded) / total, loaded, total });
      },
    });
    return results;
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
