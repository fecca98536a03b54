import type { CallableModel, OutputName } from '../auto.ts';
import { Callable } from '../callable.ts';
import type { Engine } from '../engine.ts';
import { InputError, WebGPUBertError } from '../errors.ts';
import type { EncoderRequest } from '../model/encoder.ts';
import { checkSequence, type RawSequence } from '../model/input.ts';
import type { Sequence } from '../plan/batch.ts';
import type { SequenceOutputs } from '../plan/passes.ts';
import type { SentenceModules } from '../sentence.ts';
import { choice, count } from '../tasks/arguments.ts';
import type { Encoding } from '../text/encoding.ts';
import type { EncodeOptions } from '../text/tokenizer.ts';
import type { PreTrainedTokenizer } from '../tokenizer.ts';

/** What every call of every pipeline takes. */
export interface RunOptions {
  /** Aborts between passes; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** What to do with a text that is longer than the model takes. */
export interface OverflowOptions {
  /** 'truncate' cuts it, as transformers.js does; 'error' throws; 'window' runs all of it in windows. Default: 'truncate'. */
  overflow?: 'truncate' | 'error' | 'window';
  /** By how many tokens windows overlap. Default: 0. */
  stride?: number;
}

export const OVERFLOW_NAMES = ['overflow', 'stride'] as const;

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
   * Runs sequences, which are taken one by one: those of the next pass are made while the GPU computes this one.
   * Outputs come in the order of the sequences.
   */
  protected async forward(
    raw: Iterable<RawSequence>,
    request: EncoderRequest,
    signal: AbortSignal | undefined,
  ): Promise<SequenceOutputs[]> {
    const { config } = this.engine;
    function* checked(): Generator<Sequence> {
      for (const sequence of raw) yield checkSequence(config, sequence);
    }
    const outputs: SequenceOutputs[] = [];
    await this.engine.run(checked(), request, {
      signal,
      each: (index, mine) => {
        outputs[index] = mine;
      },
    });
    return outputs;
  }
}

/** The tokens of an encoding, as a model takes them. */
export const tokensOf = ({ ids, typeIds }: Encoding, masked?: readonly number[]): RawSequence => ({
  ids,
  types: typeIds,
  masked,
});

/** Of every text the places of its windows, in order. */
export function windowsOf(texts: number, windows: readonly { readonly text: number }[]): number[][] {
  const places = Array.from({ length: texts }, (): number[] => []);
  windows.forEach(({ text }, i) => {
    places[text]!.push(i);
  });
  return places;
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
