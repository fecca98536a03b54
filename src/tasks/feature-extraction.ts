import { type Origin, Tensor, type TensorData } from '../api/index.ts';
import type { SentenceModules, SentenceSettings } from '../engine/index.ts';
import { wrong } from '../errors.ts';
import { embeddingColumns } from '../model/index.ts';
import { type WithTruncated, withFacts } from './answers.ts';
import { flag, string, textList } from './arguments.ts';
import { Embedder, MEAN_POOLING } from './embedder.ts';
import { poolWindows } from './pooled-windows.ts';
import { type PoolingName, poolingOf } from './poolings.ts';
import {
  type Precision,
  type PrecisionOptions,
  precisionOf,
  type QuantizedRows,
  quantizeEmbeddings,
  type Ranges,
  rangesFor,
} from './precision.ts';
import { PROMPT_OPTION_NAMES, type PromptOptions } from './prompts.ts';
import { normalizeRows, truncateRows } from './rows.ts';
import { OVERFLOW_OPTION_NAMES, type OverflowOptions, type RunOptions, type SessionParts } from './session.ts';
import { promptSpace, spaceOf, textBits } from './space.ts';

/**
 * With pooling 'model' a call does what sentence-transformers' encode() does: the checkpoint's default prompt, `max_seq_length`,
 * `do_lower_case` and `truncate_dim` apply too. With any other pooling they do not, as in transformers.js. A prompt that the call
 * asks for is put before the texts with any pooling.
 */
export interface FeatureExtractionOptions extends RunOptions, OverflowOptions, PrecisionOptions, PromptOptions {
  /** Default: 'none', one row per token. 'model' is what the checkpoint's modules.json says: pooling, dense layers, norms. */
  pooling?: PoolingName;
  /** Scale every row to length 1 (L2 norm). Default: false, or with pooling 'model' what the checkpoint says. */
  normalize?: boolean;
  /**
   * Keep only the first `truncate_dim` columns (Matryoshka embeddings); they are cut before rows are normalised. Default: all, or with
   * pooling 'model' the `truncate_dim` of config_sentence_transformers.json, which cuts rows after they are normalised.
   */
  truncate_dim?: number;
  /** The ranges of the columns, for precision 'int8' and 'uint8'. Default: the ranges of this call's embeddings. */
  ranges?: Ranges;
}

const OPTION_NAMES = [
  'pooling',
  'normalize',
  'truncate_dim',
  'precision',
  'quantize',
  'ranges',
  ...PROMPT_OPTION_NAMES,
  ...OVERFLOW_OPTION_NAMES,
];

/** Where rows are scaled to length 1: nowhere, on the GPU, or on the CPU before or after their columns are cut. */
export type Normalization = 'none' | 'in-pass' | 'cpu-before-cut' | 'cpu-after-cut';

/**
 * Where the rows of a call are scaled to length 1. The GPU does it if the row that it pools is the row of the text: there is one
 * window a text, and no column is cut before.
 * @param normalize whether rows are scaled at all
 * @param cutsAfter whether columns are cut after the scaling: the checkpoint's modules normalise before the checkpoint's setting cuts
 */
export function normalizationOf({
  normalize,
  isPooled,
  hasWindows,
  isCut,
  cutsAfter,
}: {
  normalize: boolean;
  isPooled: boolean;
  hasWindows: boolean;
  isCut: boolean;
  cutsAfter: boolean;
}): Normalization {
  if (!normalize) return 'none';
  if (isPooled && !hasWindows && (cutsAfter || !isCut)) return 'in-pass';
  return cutsAfter ? 'cpu-before-cut' : 'cpu-after-cut';
}

/** The rows of texts, each in one or several pieces, as one array [texts, longest]; what a text lacks is zero. */
function padRows(texts: readonly (readonly Float32Array[])[]): { data: Float32Array; longest: number } {
  const lengths = texts.map(pieces => pieces.reduce((sum, { length }) => sum + length, 0));
  const longest = lengths.reduce((greatest, length) => Math.max(greatest, length), 0);
  const data = new Float32Array(texts.length * longest);
  for (const [i, pieces] of texts.entries()) {
    let start = i * longest;
    for (const piece of pieces) {
      data.set(piece, start);
      start += piece.length;
    }
  }
  return { data, longest };
}

/** A tensor of embeddings, with facts of the texts and the space that the embeddings are in: see `FeatureExtraction.space`. */
export type Embeddings = WithTruncated<Tensor<QuantizedRows['type']>, readonly boolean[]> & { readonly space: string };

/** The options of encode_query and encode_document: the pooling is always 'model'. */
export type EncodeOptions = Omit<FeatureExtractionOptions, 'pooling'>;

/** What the options of a call mean for this checkpoint. */
interface CallPlan {
  readonly modules: SentenceModules;
  /** The checkpoint's settings, with pooling 'model'. */
  readonly settings: SentenceSettings | undefined;
  readonly isPooled: boolean;
  readonly columns: number;
  readonly keptColumns: number;
  readonly precision: Precision;
  readonly normalize: boolean;
  /** Whether columns are cut after rows were scaled. */
  readonly cutsAfter: boolean;
}

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtraction extends Embedder {
  readonly #origin: Origin;
  /** The commit, or bits of the weights, config.json and the tokenizer. Computed when it is first asked for. */
  #revision: string | undefined;

  /** @internal */
  constructor(parts: SessionParts) {
    super(parts);
    this.#origin = parts.origin;
  }

  /**
   * The space of the embeddings of pooling 'model', encode_query and encode_document: a string to keep beside an index. Two embeddings
   * may be compared exactly if their spaces are equal. It depends on the model, its commit (where there is none, on bits of its weights
   * and its tokenizer), dtype, pooling, columns, scaling, precision and prompt; every result has the space of its own options.
   * The prompts "query" and "document" are in one space, because a query is compared with documents; any other prompt is in its own.
   * Throws UnsupportedError, SourceError where modules.json cannot be used.
   */
  get space(): string {
    return this.#space(this.#plan({ pooling: 'model' }), this.prompts.query ?? '');
  }

  /**
   * The embeddings of queries, as sentence-transformers' encode_query: pooling 'model' with the prompt "query", unless another is asked
   * for. Throws as a call does.
   */
  encode_query(texts: string | readonly string[], options?: EncodeOptions | null): Promise<Embeddings> {
    return this.#encode('encode_query', 'query', texts, options);
  }

  /**
   * The embeddings of documents, as sentence-transformers' encode_document: pooling 'model' with the prompt "document", unless another
   * is asked for. A checkpoint that calls it otherwise ("passage") needs its name, as in Python. Throws as a call does.
   */
  encode_document(texts: string | readonly string[], options?: EncodeOptions | null): Promise<Embeddings> {
    return this.#encode('encode_document', 'document', texts, options);
  }

  #encode(
    name: string,
    promptName: string,
    texts: string | readonly string[],
    options: EncodeOptions | null | undefined,
  ): Promise<Embeddings> {
    const { prompt, prompt_name, ...rest } = options ?? {};
    const isNamed = (prompt ?? prompt_name ?? undefined) !== undefined;
    if ('pooling' in rest)
      return Promise.reject(wrong(`an option of ${name}`, 'pooling', "none: it is always 'model'"));
    const prompts = isNamed ? { prompt, prompt_name } : { prompt_name: promptName };
    return this._call(texts, { ...rest, ...prompts, pooling: 'model' });
  }

  /** Throws UnsupportedError, InputError, SourceError. */
  #plan(options: FeatureExtractionOptions): CallPlan {
    const { pooling: poolingName = 'none', truncate_dim } = options;
    const namedPooling = poolingOf(poolingName);
    const isModel = poolingName === 'model';
    const modules = isModel ? this.modules() : { ...MEAN_POOLING, pooling: namedPooling ? [namedPooling] : [] };
    const settings = isModel ? this.readSentence.settings() : undefined;
    const isPooled = modules.pooling.length > 0;
    const { hiddenSize } = this.engine.config;
    const columns = isPooled ? embeddingColumns(hiddenSize, modules) : hiddenSize;
    const keptColumns = truncate_dim ?? Math.min(settings?.truncateDim ?? columns, columns);
    // Throws for a truncate_dim that is no number of columns, before anything runs.
    truncateRows(new Float32Array(columns), columns, keptColumns);
    return {
      modules,
      settings,
      isPooled,
      columns,
      keptColumns,
      precision: precisionOf(options),
      normalize: flag('normalize', options.normalize, modules.normalize),
      cutsAfter: (options.normalize ?? truncate_dim ?? undefined) === undefined,
    };
  }

  #space(
    { modules, columns, keptColumns, precision, normalize, cutsAfter }: CallPlan,
    prompt: string,
    ranges?: Ranges,
  ) {
    const { name, commit, dtype } = this.#origin;
    if (!this.engine.isTrained) this.#revision ??= commit ?? this.#contents();
    return spaceOf({
      model: name,
      // After a step of training the weights are those of no commit.
      revision: this.engine.isTrained ? this.#contents() : this.#revision!,
      dtype: dtype === 'auto' ? 'fp32' : dtype,
      chain: modules,
      normalize: normalize && cutsAfter && keptColumns !== columns ? 'before cut' : normalize,
      dims: keptColumns,
      precision,
      ranges: ranges && textBits([JSON.stringify([ranges.lowest, ranges.highest].map(list => Array.from(list)))]),
      prompt: promptSpace(prompt, this.prompts),
    });
  }

  /** Bits of the model's files, for a place that tells no commit. */
  #contents(): string {
    const { fingerprint, config } = this.engine;
    return fingerprint + textBits([JSON.stringify(config.raw), ...this.tokenizer.text.vocabulary]);
  }

  /**
   * A tensor [texts, C] with a pooling, [texts, longest, C] without, where rows past a text's end are zero. With a pooling of the
   * checkpoint, or with `truncate_dim`, C is the number of columns that it leaves; with 'binary' an eighth of that.
   * Throws InputError, UnsupportedError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   *   out.truncated; // [false, false]: whether a text was longer than the model takes
   *   out.tokens; // [3, 3]: how many tokens were run for each
   *   await extractor('what is a token?', { pooling: 'model', prompt_name: 'query' }); // or encode_query
   */
  async _call(texts: string | readonly string[], options?: FeatureExtractionOptions | null): Promise<Embeddings> {
    const callOptions = this.checkedOptions(options, OPTION_NAMES);
    const { overflow, stride, ranges } = callOptions;
    const list = textList(texts, string);
    const plan = this.#plan(callOptions);
    const { modules, settings, isPooled, columns, keptColumns, precision, normalize, cutsAfter } = plan;
    if (!isPooled && stride) throw wrong('stride', stride, '0 without a pooling: a token has one row');
    const prompt = await this.prompt(callOptions, settings !== undefined);
    const isCut = keptColumns !== columns;
    const hasWindows = overflow === 'window';
    const normalization = normalizationOf({ normalize, isPooled, hasWindows, isCut, cutsAfter });
    const { results, facts } = await this.pooledWindows(
      list,
      { ...modules, normalize: normalization === 'in-pass', prompt, settings },
      callOptions,
    );
    const { pooling, rowSteps } = modules;
    const { data, longest } = padRows(
      results.map(windows =>
        isPooled ? [poolWindows(windows, pooling, rowSteps.length > 0)] : windows.map(({ row }) => row),
      ),
    );
    if (normalization === 'cpu-before-cut') normalizeRows(data, columns);
    const rows = truncateRows(data, columns, keptColumns);
    if (normalization === 'cpu-after-cut') normalizeRows(rows, keptColumns);
    const usedRanges =
      precision === 'int8' || precision === 'uint8' ? rangesFor(rows, keptColumns, precision, ranges) : undefined;
    const quantized = quantizeEmbeddings(rows, keptColumns, { precision, ranges: usedRanges });
    const batch = isPooled ? [results.length] : [results.length, longest / columns];
    const tensor = new Tensor(quantized.type, quantized.data as TensorData, [...batch, quantized.columns]);
    return withFacts(tensor, { ...facts, space: this.#space(plan, prompt, usedRanges) });
  }
}
