import { type CallableModel, loadTokenizer, PreTrainedModel } from './auto.ts';
import { Callable } from './callable.ts';
import type { ModelLocation } from './checkpoint/location.ts';
import { openSource } from './checkpoint/source.ts';
import { Engine } from './engine.ts';
import { env } from './env.ts';
import { InputError, UnsupportedError } from './errors.ts';
import { checkSequence } from './model/input.ts';
import { padTokens, stack } from './model-outputs.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';
import type { Sequence } from './plan/batch.ts';
import type { SequenceOutputs } from './plan/passes.ts';
import { normalizeRows, type PoolingName, poolingOf, textList } from './tasks/feature-extraction.ts';
import type { Tensor } from './tensor.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

export const TASKS = ['feature-extraction'] as const;
export type Task = (typeof TASKS)[number];

const DEFAULT_MODELS: Readonly<Record<Task, string>> = {
  'feature-extraction': 'sentence-transformers/all-MiniLM-L6-v2',
};

export interface FeatureExtractionOptions {
  /** Default: 'none', one row per token. */
  pooling?: PoolingName;
  /** Scale every row to length 1. Default: false. */
  normalize?: boolean;
  /** Aborts between passes; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

const OPTION_NAMES = ['pooling', 'normalize', 'signal'];

type ExtractCall = (texts: string | readonly string[], options?: FeatureExtractionOptions) => Promise<Tensor>;

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtractionPipeline extends (Callable as new () => ExtractCall) {
  readonly task = 'feature-extraction';
  readonly model: CallableModel<'last_hidden_state' | 'pooler_output'>;
  readonly tokenizer: PreTrainedTokenizer;
  readonly #engine: Engine;

  constructor(engine: Engine, tokenizer: PreTrainedTokenizer) {
    super();
    this.#engine = engine;
    this.model = new PreTrainedModel(engine) as CallableModel<'last_hidden_state' | 'pooler_output'>;
    this.tokenizer = tokenizer;
  }

  /**
   * What calling the pipeline does: [texts, C] with a pooling, [texts, longest, C] without, rows past a text's end zero. Texts
   * longer than the model takes are cut, as in transformers.js.
   * Throws InputError, UnsupportedError, DeviceError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   */
  async _call(texts: string | readonly string[], options: FeatureExtractionOptions = {}): Promise<Tensor> {
    const { pooling = 'none', normalize = false, signal } = options;
    for (const name of Object.keys(options)) {
      if (OPTION_NAMES.includes(name)) continue;
      throw new UnsupportedError({ what: `feature-extraction has no option "${name}"`, supported: OPTION_NAMES });
    }
    const list = textList(texts);
    const pool = poolingOf(pooling);
    const { config } = this.#engine;
    const encoder = this.tokenizer.text;
    const maxLength = Math.min(encoder.modelMaxLength, config.maxPositions);
    const lengths: number[] = [];
    // Taken one by one by the engine: the texts of the next pass are tokenised while the GPU computes this one.
    function* sequences(): Generator<Sequence> {
      for (const text of list) {
        const { ids, typeIds } = encoder.encode(text, { maxLength });
        lengths.push(ids.length);
        yield checkSequence(config, { ids, types: typeIds });
      }
    }
    const outputs: SequenceOutputs[] = [];
    const request = pool ? { pool: { pooling: pool, normalize } } : { lastHiddenState: true };
    await this.#engine.run(sequences(), request, {
      signal,
      each: (index, mine) => {
        outputs[index] = mine;
      },
    });
    if (pool) return stack('embedding', outputs, config.hiddenSize);
    const rows = lengths.map(length => ({ places: Array.from({ length }, (_, i) => i) }));
    const tokens = padTokens('last_hidden_state', outputs, rows, Math.max(...lengths), config.hiddenSize);
    if (normalize) normalizeRows(tokens.data as Float32Array, config.hiddenSize);
    return tokens;
  }

  /** Gives back everything it holds on the GPU. */
  async dispose(): Promise<void> {
    await this.model.dispose();
  }
}

/**
 * Loads a model and its tokenizer for a task: transformers.js's `pipeline`.
 * Throws UnsupportedError for a task that is not built, and whatever loading throws: SourceError, CheckpointError, DeviceError.
 *
 *   const extractor = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2');
 */
export async function pipeline(
  task: Task,
  model?: ModelLocation | null,
  options: PretrainedOptions = {},
): Promise<FeatureExtractionPipeline> {
  if (!TASKS.includes(task)) {
    throw new UnsupportedError({ what: 'this task is not supported', actual: JSON.stringify(task), supported: TASKS });
  }
  const device = checkOptions(options);
  const source = openSource(model ?? DEFAULT_MODELS[task], options, env);
  // One fails, the other is told to stop.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const loadingTokenizer = loadTokenizer(source);
  loadingTokenizer.catch(error => stop.abort(error));
  const progress = options.progress_callback ?? undefined;
  const engine = await Engine.load(source, {
    device,
    progress,
    signal,
    request: () => ({ pool: { pooling: 'mean', normalize: true } }),
  });
  try {
    const tokenizer = await loadingTokenizer;
    if (tokenizer.text.vocabSize > engine.config.vocabSize) {
      throw new InputError({
        what: 'the tokenizer has more tokens than the model has embeddings',
        actual: `${tokenizer.text.vocabSize} tokens`,
        expected: `at most ${engine.config.vocabSize}`,
        next: 'Check that tokenizer.json and config.json belong together.',
      });
    }
    progress?.({ status: 'ready', task, model: source.name });
    return new FeatureExtractionPipeline(engine, tokenizer);
  } catch (error) {
    engine.dispose();
    throw error;
  }
}
