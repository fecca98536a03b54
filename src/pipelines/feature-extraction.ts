import { joined, Tensor, type TensorData } from '../api/index.ts';
import { wrong } from '../errors.ts';
import {
  normalizeRows,
  type PoolingName,
  PROMPT_NAMES,
  type PrecisionOptions,
  type PromptOptions,
  poolingOf,
  poolWindows,
  precisionOf,
  quantizeEmbeddings,
  type Ranges,
  text as string,
  textList,
  truncateRows,
} from '../tasks/index.ts';
import { Embedder, MEAN } from './embedder.ts';
import { OVERFLOW_NAMES, type OverflowOptions, type RunOptions, type Said, saying } from './session.ts';

/**
 * With pooling 'model' a call does what sentence-transformers' encode() does: the checkpoint's default prompt, `max_seq_length`,
 * `do_lower_case` and `truncate_dim` apply too. With another pooling none of them does, as in transformers.js; a prompt that is asked
 * for stands before the texts with any pooling.
 */
export interface FeatureExtractionOptions extends RunOptions, OverflowOptions, PrecisionOptions, PromptOptions {
  /** Default: 'none', one row per token. 'model' is what the checkpoint's modules.json says: pooling, dense layers, normalisation. */
  pooling?: PoolingName;
  /** Scale every row to length 1. Default: false, or with pooling 'model' what the checkpoint says. */
  normalize?: boolean;
  /**
   * Keep the first so many columns (Matryoshka embeddings), before they are normalised. Default: all, or with pooling 'model' the
   * `truncate_dim` of config_sentence_transformers.json, which cuts rows that have been normalised.
   */
  truncate_dim?: number;
  /** Of every column, for precision 'int8' and 'uint8'. Default: those of the texts of the call. */
  ranges?: Ranges;
}

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtraction extends Embedder {
  /**
   * What calling the pipeline does: [texts, C] with a pooling, [texts, longest, C] without, rows past a text's end zero.
   * Throws InputError, UnsupportedError, DeviceError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   *   out.truncated; // [false, false]: whether a text was longer than the model takes
   *   await extractor('what is a token?', { pooling: 'model', prompt_name: 'query' }); // sentence-transformers' encode_query
   */
  async _call(
    texts: string | readonly string[],
    given?: FeatureExtractionOptions | null,
  ): Promise<Said<Tensor, readonly boolean[]>> {
    const options = this.options(
      given,
      'pooling',
      'normalize',
      'truncate_dim',
      'precision',
      'quantize',
      'ranges',
      ...PROMPT_NAMES,
      ...OVERFLOW_NAMES,
    );
    const { pooling: name = 'none' } = options;
    const list = textList(texts, string);
    const isModel = name === 'model';
    const own = poolingOf(name);
    const modules = isModel ? ((await this.sentence.modules) ?? MEAN) : { ...MEAN, pooling: own ? [own] : [] };
    const settings = isModel ? await this.sentence.settings : undefined;
    const { pooling, dense } = modules;
    const isPooled = pooling.length > 0;
    const precision = precisionOf(options);
    const normalize = options.normalize ?? modules.normalize;
    const columns = dense.at(-1)?.outputs ?? this.engine.config.hiddenSize * Math.max(1, pooling.length);
    const kept = options.truncate_dim ?? Math.min(settings?.truncateDim ?? columns, columns);
    // Checked before anything runs.
    truncateRows(new Float32Array(columns), columns, kept);
    if (!isPooled && options.stride) throw wrong('stride', options.stride, '0 without a pooling: a token has one row');
    const prompt = await this.prompt(options, isModel);

    // The checkpoint's own modules have normalised a row before the checkpoint's own setting cuts it.
    const cutsLast = (options.normalize ?? options.truncate_dim ?? undefined) === undefined;
    // What the GPU can do whole: with windows the mean of a text is that of its windows, and is normalised after.
    const isWhole = options.overflow !== 'window' && dense.length === 0 && (cutsLast || kept === columns);
    const onGpu = normalize && isPooled && isWhole;
    const recipe = { ...modules, normalize: onGpu, prompt, settings };
    const { found, truncated } = await this.pooledWindows(list, recipe, options);
    const parts = found.map(windows =>
      isPooled ? poolWindows(windows, pooling, dense.length > 0) : joined(windows.map(({ row }) => row)),
    );
    const longest = parts.reduce((most, { length }) => Math.max(most, length), 0);
    const data = new Float32Array(parts.length * longest);
    for (const [i, part] of parts.entries()) data.set(part, i * longest);
    const onCpu = normalize && !onGpu;
    if (onCpu && cutsLast) normalizeRows(data, columns);
    const rows = truncateRows(data, columns, kept);
    if (onCpu && !cutsLast) normalizeRows(rows, kept);
    const { type, data: out, columns: width } = quantizeEmbeddings(rows, kept, precision, options.ranges);
    const dims = isPooled ? [parts.length, width] : [parts.length, longest / columns, width];
    return saying(new Tensor(type, out as TensorData, dims), truncated);
  }
}
