import { Tensor, type TensorData } from '../api/index.ts';
import { wrong } from '../errors.ts';
import { embeddingColumns } from '../model/index.ts';
import { type WithTruncated, withTruncated } from './answers.ts';
import { string, textList } from './arguments.ts';
import { Embedder, MEAN_POOLING } from './embedder.ts';
import { poolWindows } from './pooled-windows.ts';
import { type PoolingName, poolingOf } from './poolings.ts';
import {
  type PrecisionOptions,
  precisionOf,
  type QuantizedRows,
  quantizeEmbeddings,
  type Ranges,
} from './precision.ts';
import { PROMPT_OPTION_NAMES, type PromptOptions } from './prompts.ts';
import { normalizeRows, truncateRows } from './rows.ts';
import { OVERFLOW_OPTION_NAMES, type OverflowOptions, type RunOptions } from './session.ts';

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

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtraction extends Embedder {
  /**
   * A tensor [texts, C] with a pooling, [texts, longest, C] without, where rows past a text's end are zero. With a pooling of the
   * checkpoint, or with `truncate_dim`, C is the number of columns that it leaves; with 'binary' an eighth of that.
   * Throws InputError, UnsupportedError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   *   out.truncated; // [false, false]: whether a text was longer than the model takes
   *   await extractor('what is a token?', { pooling: 'model', prompt_name: 'query' }); // sentence-transformers' encode_query
   */
  async _call(
    texts: string | readonly string[],
    options?: FeatureExtractionOptions | null,
  ): Promise<WithTruncated<Tensor<QuantizedRows['type']>, readonly boolean[]>> {
    const callOptions = this.checkedOptions(options, OPTION_NAMES);
    const { pooling: poolingName = 'none', overflow, stride, truncate_dim, ranges } = callOptions;
    const list = textList(texts, string);
    const namedPooling = poolingOf(poolingName);
    const isModel = poolingName === 'model';
    const modules = isModel ? await this.modules() : { ...MEAN_POOLING, pooling: namedPooling ? [namedPooling] : [] };
    const settings = isModel ? await this.sentence.settings : undefined;
    const { pooling, rowSteps } = modules;
    const isPooled = pooling.length > 0;
    const hasRowSteps = rowSteps.length > 0;
    const precision = precisionOf(callOptions);
    const { hiddenSize } = this.engine.config;
    const columns = isPooled ? embeddingColumns(hiddenSize, modules) : hiddenSize;
    const keptColumns = truncate_dim ?? Math.min(settings?.truncateDim ?? columns, columns);
    // Throws for a truncate_dim that is no number of columns, before anything runs.
    truncateRows(new Float32Array(columns), columns, keptColumns);
    if (!isPooled && stride) throw wrong('stride', stride, '0 without a pooling: a token has one row');
    const prompt = await this.prompt(callOptions, isModel);
    const normalization = normalizationOf({
      normalize: callOptions.normalize ?? modules.normalize,
      isPooled,
      hasWindows: overflow === 'window',
      isCut: keptColumns !== columns,
      cutsAfter: (callOptions.normalize ?? truncate_dim ?? undefined) === undefined,
    });
    const { results, truncated } = await this.pooledWindows(
      list,
      { ...modules, normalize: normalization === 'in-pass', prompt, settings },
      callOptions,
    );
    const { data, longest } = padRows(
      results.map(windows => (isPooled ? [poolWindows(windows, pooling, hasRowSteps)] : windows.map(({ row }) => row))),
    );
    if (normalization === 'cpu-before-cut') normalizeRows(data, columns);
    const rows = truncateRows(data, columns, keptColumns);
    if (normalization === 'cpu-after-cut') normalizeRows(rows, keptColumns);
    const quantized = quantizeEmbeddings(rows, keptColumns, { precision, ranges });
    const batch = isPooled ? [results.length] : [results.length, longest / columns];
    const tensor = new Tensor(quantized.type, quantized.data as TensorData, [...batch, quantized.columns]);
    return withTruncated(tensor, truncated);
  }
}
