import type { PreTrainedTokenizer } from '../api/index.ts';
import { type MaxSimInput, NO_SENTENCE, openMaxSim } from '../engine/index.ts';
import { describe, InputError } from '../errors.ts';
import type { EncoderConfig, EncoderRequest } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { choice, lowerCased, Session, type TextFacts } from '../tasks/index.ts';
import type { Encoding } from '../text/index.ts';
import type { TextOptions, TextRecipe } from './encode-options.ts';
import type { Loaded, LoadPlan } from './loading.ts';
import { type StaticWeights, staticRow } from './static-weights.ts';

/** A text as the model computes it. */
export interface EncodedText extends Encoding {
  /** How many tokens at its start no token attends to. */
  readonly unattended?: number;
  readonly positions?: readonly number[];
  readonly places?: readonly number[];
  /** How many tokens are filled in behind the text: the first ones where they are unattended. */
  readonly fillers?: number;
}

interface Work<Result> {
  readonly texts: readonly string[];
  readonly recipe: TextRecipe;
  readonly request: EncoderRequest;
  /** Changes the encoding of a text. Default: it stays as it is. */
  readonly arrange?: (encoding: Encoding) => EncodedText;
  /** The result of a text. It copies what it needs. */
  read(outputs: SequenceOutputs, encoding: EncodedText): Result;
}

interface LookUp<Result> extends Pick<Work<Result>, 'texts' | 'recipe'> {
  readonly table: StaticWeights;
  /** The result of a text, from its weights [V]. */
  read(row: Float32Array): Result;
}

/** The results of texts in their order, and what is known of each text. */
export interface Results<Result> {
  readonly results: Result[];
  readonly facts: TextFacts<readonly boolean[]>;
}

/** The loop that encodes texts, runs them and reads the outputs, for classes that are no pipelines. */
export class TextSession extends Session {
  constructor(
    task: string,
    {
      model,
      tokenizer,
      folder,
      files,
    }: Pick<Loaded<LoadPlan>, 'model' | 'tokenizer' | 'files'> & Pick<LoadPlan, 'folder'>,
  ) {
    const sentence = { ...NO_SENTENCE, folder: Promise.resolve(folder) };
    super({ task, model, tokenizer, sentence, sentenceFiles: files });
  }

  get config(): EncoderConfig {
    return this.engine.config;
  }

  /** Windows are not built for such vectors. */
  protected override get adviceOnLength(): string {
    return "Split the text, or pass overflow: 'truncate' for its beginning.";
  }

  /** MaxSim scores [queries, documents]. Throws DeviceError, or the signal's reason. */
  maxSim(input: MaxSimInput, signal: AbortSignal | undefined): Promise<Float32Array> {
    return this.engine.maxSim(input, openMaxSim, signal);
  }

  /** Runs the model. Throws InputError, DeviceError, NotFiniteError, or the signal's reason. */
  async compute<Result>(
    { texts, recipe, request, arrange = encoding => encoding, read }: Work<Result>,
    options: TextOptions,
  ): Promise<Results<Result>> {
    const overflow = overflowOf(options);
    const { maxLength } = recipe;
    const worded = wording(recipe, this.tokenizer);
    const { results, facts } = await this.forward(
      { texts, encode: text => this.encode(worded(text), { overflow, maxLength }).map(arrange), request, read },
      options as Omit<TextOptions, 'overflow'>,
    );
    return { results: results.flat(1), facts };
  }

  /** Looks the weights of the tokens up: no model runs. Throws InputError, or the signal's reason. */
  lookUp<Result>({ texts, recipe, table, read }: LookUp<Result>, options: TextOptions): Results<Result> {
    const overflow = overflowOf(options);
    const { tokenizer } = table;
    const worded = wording({ ...recipe, lowerCase: false }, tokenizer);
    const maxLength = tokenizer.text.modelMaxLength;
    const truncated: boolean[] = [];
    const tokens: number[] = [];
    const { length: total } = texts;
    const results = texts.map((text, i) => {
      options.signal?.throwIfAborted();
      const encoding = tokenizer.text.encode(worded(text), { maxLength, addSpecialTokens: false });
      if (encoding.truncated && overflow === 'error') {
        throw new InputError({
          what: 'a text is longer than the model takes',
          actual: describe(text),
          expected: `at most ${maxLength} tokens`,
          next: this.adviceOnLength,
        });
      }
      truncated.push(encoding.truncated);
      tokens.push(encoding.ids.length);
      const result = read(staticRow(encoding.ids, table));
      const [loaded, task] = [i + 1, this.task];
      options.progress_callback?.({ status: 'run', task, progress: (100 * loaded) / total, loaded, total });
      return result;
    });
    return { results, facts: { truncated, tokens } };
  }
}

/** Throws InputError where a class of vectors is made by a page: it is loaded. */
export function checkParts(name: string, parts: { readonly session: TextSession }): void {
  if (Object(parts).session instanceof TextSession) return;
  throw new InputError({
    what: `a ${name} is not made by new`,
    actual: `new ${name}(…)`,
    expected: `${name}.from_pretrained(…)`,
    next: `Load it: const encoder = await ${name}.from_pretrained('org/name').`,
  });
}

const overflowOf = ({ overflow }: TextOptions): 'truncate' | 'error' =>
  choice('overflow', overflow, { names: ['truncate', 'error'], fallback: 'truncate' });

/** A text as the tokenizer has it: behind its prompt, and in lower case where the checkpoint says so. */
function wording({ prompt, lowerCase }: TextRecipe, tokenizer: PreTrainedTokenizer): (text: string) => string {
  return text => (lowerCase ? lowerCased(prompt + text, tokenizer.all_special_tokens) : prompt + text);
}
