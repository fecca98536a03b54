import {
  Callable,
  type CallableModel,
  type Origin,
  type OutputName,
  outputOf,
  PreTrainedModel,
  type PreTrainedTokenizer,
} from '../api/index.ts';
import { inside, type ProgressCallback } from '../checkpoint/source/index.ts';
import type { Engine, ReadSentence, SentenceFiles } from '../engine/index.ts';
import { checkNames, describe, InputError } from '../errors.ts';
import { checkSequence, type EncoderRequest, STATIC_MAPPING, staticSequence } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { checkSaveOptions, copiedFiles, modelFiles, type SaveOptions } from '../saving/index.ts';
import type { EncodeOptions, Encoding, TextInput } from '../text/index.ts';
import type { TextFacts } from './answers.ts';
import { choice, count } from './arguments.ts';

/** The options that every call of every pipeline takes. */
export interface RunOptions {
  /** Aborts the call: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Is called with { status: 'run', task, progress, loaded, total } after every pass: `loaded` of `total` texts are done; `progress`, in per
   * cent, counts also the parts of a text that are: its windows, or its candidate labels. The last call says 100. If it throws, the
   * pipeline's call rejects with what it threw.
   */
  progress_callback?: ProgressCallback | null;
}

/** What to do with a text that is longer than the model takes. */
export interface OverflowOptions {
  /** 'truncate' cuts it, as transformers.js does; 'error' throws; 'window' runs all of it in windows. Default: 'truncate'. */
  overflow?: 'truncate' | 'error' | 'window';
  /** By how many tokens two neighbouring windows overlap. Default: 0. */
  stride?: number;
}

export const OVERFLOW_OPTION_NAMES = ['overflow', 'stride'] as const;
const RUN_OPTION_NAMES = ['signal', 'progress_callback'] as const;
const OVERFLOW_MODES = ['truncate', 'error', 'window'] as const;

/** The tokens of a text, or of one window of it: one sequence for the model. */
type EncodedWindow = Pick<Encoding, 'ids' | 'tokens' | 'typeIds' | 'truncated'> & {
  /** The places of the tokens that the head is computed for. Default: all. */
  readonly masked?: readonly number[];
  /** How many tokens at the start are left out of the pooling. Default: 0. */
  readonly unpooled?: number;
  /** How many tokens at the start no token attends to. Default: 0. */
  readonly unattended?: number;
  /** Rows of the position table, and places between which distances are counted. Default: by the order of the tokens. */
  readonly positions?: readonly number[];
  readonly places?: readonly number[];
};

/** What a pipeline is made of, under transformers.js's names. */
export interface SessionParts<Outputs extends OutputName = OutputName> {
  readonly task: string;
  readonly model: CallableModel<Outputs>;
  readonly tokenizer: PreTrainedTokenizer;
  /** What sentence-transformers wrote into the checkpoint. */
  readonly sentence: SentenceFiles;
  /** The paths of its files. */
  readonly sentenceFiles: ReadonlySet<string>;
  /** The same after all of it was read. */
  readonly readSentence: ReadSentence;
  /** Where the model and its tokenizer are from. */
  readonly origin: Origin;
}

/** The work of one call: texts, how each is encoded, and what is read from the outputs. */
interface Work<Text, Window extends EncodedWindow, Result> {
  readonly texts: readonly Text[];
  /** The windows of a text: at least one. */
  encode(text: Text): readonly Window[];
  /** The result of one window. It copies what it needs: neither the window nor the outputs are kept after it. */
  read(outputs: SequenceOutputs, window: Window, text: Text): Result;
  /** Which outputs the model computes. Default: those of its head. */
  readonly request?: EncoderRequest;
}

/** What `Session.forward` resolves to: one entry for each text, in their order. */
export interface TextResults<Result> {
  /** For each text the results of its windows, in their order. */
  readonly results: readonly Result[][];
  /** For each text whether it was cut, and how many tokens were run. */
  readonly facts: TextFacts<readonly boolean[]>;
}

/** The logits of a sequence, as the `read` of `Session.forward`. */
export const logitsOf = (outputs: SequenceOutputs): Float32Array => outputOf(outputs, 'logits');

/** The base of all pipelines: a model on a device, its tokenizer, and a loop that encodes texts, runs them and reads the outputs. */
export class Session<Outputs extends OutputName = OutputName> extends Callable {
  readonly task: string;
  readonly model: CallableModel<Outputs>;
  readonly tokenizer: PreTrainedTokenizer;
  /** @internal */
  protected readonly sentence: SentenceFiles;
  readonly #sentenceFiles: ReadonlySet<string>;

  /** @internal */
  constructor({
    task,
    model,
    tokenizer,
    sentence,
    sentenceFiles,
  }: Pick<SessionParts<Outputs>, 'task' | 'model' | 'tokenizer' | 'sentence' | 'sentenceFiles'>) {
    super();
    this.task = task;
    this.model = model;
    this.tokenizer = tokenizer;
    this.sentence = sentence;
    this.#sentenceFiles = sentenceFiles;
  }

  /**
   * All files of the model as it is now, trained or not: config.json and model.safetensors (see PreTrainedModel.save_pretrained), those of
   * the tokenizer, and those of sentence-transformers (modules.json, `1_Pooling/config.json`) where there are any. A name has its folder in
   * it. The list is what `pipeline` and every `from_pretrained` take; in a folder, it is what Python reads.
   * Throws UnsupportedError, InputError, DeviceError, SourceError, CheckpointError, or the signal's reason.
   */
  async save_pretrained(options?: SaveOptions | null): Promise<File[]> {
    const checked = checkSaveOptions(options);
    const { signal = new AbortController().signal } = checked;
    const { engine } = this;
    const folder = await this.sentence.folder;
    const saved = await modelFiles(engine, { ...checked, folder, withModules: true });
    for (const file of await this.tokenizer.save_pretrained({ signal })) {
      saved.push(new File([file], inside(folder, file.name)));
    }
    const names = new Set(saved.map(({ name }) => name));
    // Weights that are in the files above, whatever files they were in.
    for (const { info } of engine.tensors) names.add(inside(folder, info.file));
    const others = [...this.#sentenceFiles].filter(
      name => !names.has(name) && !name.endsWith('.safetensors.index.json'),
    );
    return others.length === 0 ? saved : [...saved, ...(await copiedFiles(engine.files(signal)!.root, others))];
  }

  /**
   * Disposes of the model, as in transformers.js: frees everything that it holds on the GPU. Calls under way reject with DeviceError. A
   * pipeline holds nothing there itself. One of a model that others use, a Trainer say, needs no disposal: it is forgotten.
   */
  async dispose(): Promise<void> {
    await this.model.dispose();
  }

  /** @internal */
  protected get engine(): Engine {
    return PreTrainedModel.engineOf(this.model);
  }

  /** @internal How many tokens a sequence may have, special tokens included. */
  protected get maxTokens(): number {
    return Math.min(this.tokenizer.text.modelMaxLength, this.engine.config.maxPositions);
  }

  /**
   * The options of a call, {} for none. Throws UnsupportedError for one that is neither in `names` nor an option of every pipeline.
   * @internal
   */
  protected checkedOptions<Options extends object>(
    options: Options | null | undefined,
    names: readonly string[],
  ): Options {
    return checkNames(this.task, options, [...names, ...RUN_OPTION_NAMES]);
  }

  /**
   * The encoding of a text, or with overflow 'window' as many as the text needs. `maxLength` replaces the limit of the tokenizer, but
   * no sequence has more tokens than the model has positions. Throws InputError with overflow 'error'.
   * @internal
   */
  protected encode(
    text: TextInput,
    { overflow, stride, maxLength, ...encodeOptions }: EncodeOptions & OverflowOptions = {},
  ): Encoding[] {
    const mode = choice('overflow', overflow, { names: OVERFLOW_MODES, fallback: 'truncate' });
    const limit = maxLength === undefined ? this.maxTokens : Math.min(maxLength, this.engine.config.maxPositions);
    const options = {
      pair: encodeOptions.pair,
      truncation: encodeOptions.truncation,
      isSplitIntoWords: encodeOptions.isSplitIntoWords,
      remedy: encodeOptions.remedy,
      addSpecialTokens: encodeOptions.addSpecialTokens,
      maxLength: limit,
      stride: count('stride', stride, { fallback: 0, min: 0 }),
    };
    if (mode === 'window') return this.tokenizer.text.encodeWindows(text, options);
    const encoding = this.tokenizer.text.encode(text, options);
    if (mode === 'truncate' || !encoding.truncated) return [encoding];
    throw new InputError({
      what: 'a text is longer than the model takes',
      actual: describe(text),
      expected: `at most ${limit} tokens`,
      next: this.adviceOnLength,
    });
  }

  /** What to do about a text that is longer than the model takes. @internal */
  protected get adviceOnLength(): string {
    return "Pass overflow: 'window' for all of it, or 'truncate' for its beginning.";
  }

  /**
   * Throws InputError for a token without an embedding. A tokenizer may have more tokens than the model has embeddings, for example
   * if tokens were added and the model was not resized. That matters only if such a token occurs.
   * @internal
   */
  protected checkTokens({ ids, tokens }: Pick<Encoding, 'ids' | 'tokens'>): void {
    const { vocabSize } = this.engine.config;
    const place = ids.findIndex(id => id >= vocabSize);
    if (place < 0) return;
    throw new InputError({
      what: `the model has no embedding for the token ${JSON.stringify(tokens[place])}`,
      actual: `id ${ids[place]} of a tokenizer with ${this.tokenizer.text.vocabSize} tokens`,
      expected: `an id below ${vocabSize}, the vocab_size of config.json`,
      next: 'Leave that token out of the text, or take the tokenizer that belongs to this model.',
    });
  }

  /**
   * Runs all windows of all texts. Texts are encoded when a pass has room for them, so the CPU encodes the next pass while the GPU
   * computes this one. Every window is read as soon as its pass is done, in the order of the texts.
   * @internal
   */
  protected async forward<Text, Window extends EncodedWindow, Result>(
    { texts, encode, read, request = { head: { kind: this.engine.head! } } }: Work<Text, Window, Result>,
    { signal, progress_callback, overflow }: RunOptions & OverflowOptions,
  ): Promise<TextResults<Result>> {
    const { config, host } = this.engine;
    const { return_token_type_ids: hasTypeIds } = this.tokenizer;
    const mapping = config.static && host.get(STATIC_MAPPING);
    const checkTokens = (window: EncodedWindow) => this.checkTokens(window);
    const results: Result[][] = [];
    const truncated: boolean[] = [];
    const tokens: number[] = [];
    function* sequences() {
      for (const text of texts) {
        const windows = encode(text);
        const textResults: Result[] = [];
        results.push(textResults);
        // In windows the whole text is run.
        tokens.push(windows.reduce((sum, window) => sum + window.tokens.length, 0));
        truncated.push(overflow !== 'window' && windows.some(window => window.truncated));
        for (const window of windows) {
          const { ids, typeIds, positions, places, masked, unpooled, unattended } = window;
          // As a call of the tokenizer gives them to the model: not at all where its class or model_input_names has none.
          const types = hasTypeIds ? typeIds : undefined;
          checkTokens(window);
          const isLast = window === windows.at(-1);
          const sequence = checkSequence(config, { ids, types, positions, places, masked, unpooled, unattended });
          const rows = config.static ? staticSequence(sequence, mapping) : sequence;
          yield { ...rows, window, text, textResults, isLast, share: 1 / windows.length };
        }
      }
    }
    const { length: total } = texts;
    let loaded = 0;
    // How much of the texts is done, the parts of a text counted.
    let share = 0;
    await this.engine.run(sequences(), request, {
      signal,
      done: pass => {
        for (const { sequence, outputs } of pass) {
          const { window, text, textResults, isLast } = sequence;
          textResults.push(read(outputs, window, text));
          share += sequence.share;
          if (!isLast) continue;
          loaded++;
          // A sum of thirds is none of ones.
          share = loaded;
        }
        progress_callback?.({ status: 'run', task: this.task, progress: (100 * share) / total, loaded, total });
      },
    });
    return { results, facts: { truncated, tokens } };
  }
}
