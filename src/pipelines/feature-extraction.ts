import { wrong } from '../errors.ts';
import { joined } from '../model-outputs.ts';
import type { SentenceModules } from '../sentence.ts';
import { text as string, textList } from '../tasks/arguments.ts';
import { normalizeRows, type PoolingName, poolingOf, truncateRows } from '../tasks/feature-extraction.ts';
import { type PrecisionOptions, precisionOf, quantizeEmbeddings, type Ranges } from '../tasks/precision.ts';
import { Tensor, type TensorData } from '../tensor.ts';
import { OVERFLOW_NAMES, type OverflowOptions, type RunOptions, type Said, Session, saying } from './session.ts';

export interface FeatureExtractionOptions extends RunOptions, OverflowOptions, PrecisionOptions {
  /** Default: 'none', one row per token. 'model' is what the checkpoint's modules.json says: pooling, dense layers, normalisation. */
  pooling?: PoolingName;
  /** Scale every row to length 1. Default: false, or with pooling 'model' what the checkpoint says. */
  normalize?: boolean;
  /** Keep the first so many columns (Matryoshka embeddings), before they are normalised. Default: all. */
  truncate_dim?: number;
  /** Of every column, for precision 'int8' and 'uint8'. Default: those of the texts of the call. */
  ranges?: Ranges;
}

/** A window of a text: its vector, or without a pooling the rows of its tokens. */
interface PooledWindow {
  readonly row: Float32Array;
  readonly tokens: number;
}

/** What `pooling: 'model'` is where the checkpoint has no modules: the usual. */
export const MEAN: SentenceModules = { pooling: 'mean', dense: [], files: [], normalize: false, maxLength: undefined };

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtraction extends Session<'last_hidden_state' | 'pooler_output'> {
  /**
   * What calling the pipeline does: [texts, C] with a pooling, [texts, longest, C] without, rows past a text's end zero.
   * Throws InputError, UnsupportedError, DeviceError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   *   out.truncated; // [false, false]: whether a text was longer than the model takes
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
      ...OVERFLOW_NAMES,
    );
    const { pooling = 'none' } = options;
    const list = textList(texts, string);
    const modules = pooling === 'model' ? ((await this.sentence) ?? MEAN) : { ...MEAN, pooling: poolingOf(pooling) };
    const { pooling: pool, dense, maxLength } = modules;
    const precision = precisionOf(options);
    const normalize = options.normalize ?? modules.normalize;
    const columns = dense.at(-1)?.outputs ?? this.engine.config.hiddenSize;
    const kept = options.truncate_dim ?? columns;
    // Checked before anything runs.
    truncateRows(new Float32Array(columns), columns, kept);
    if (!pool && options.stride) throw wrong('stride', options.stride, '0 without a pooling: a token has one row');

    // What the GPU can do whole: with windows the mean of a text is that of its windows, and is normalised after.
    const normalizes = normalize && options.overflow !== 'window' && kept === columns && dense.length === 0;
    const { found, truncated } = await this.forward(
      list,
      text => this.encode(text, { ...options, maxLength }),
      (out, { ids }): PooledWindow => ({
        row: out.get(pool ? 'embedding' : 'last_hidden_state')!,
        tokens: ids.length,
      }),
      options,
      pool ? { pool: { pooling: pool, normalize: normalizes, dense } } : { lastHiddenState: true },
    );
    const parts = found.map(windows => poolWindows(windows, pool));
    const longest = parts.reduce((most, { length }) => Math.max(most, length), 0);
    const data = new Float32Array(parts.length * longest);
    for (const [i, part] of parts.entries()) data.set(part, i * longest);
    const rows = truncateRows(data, columns, kept);
    if (normalize && !(pool && normalizes)) normalizeRows(rows, kept);
    const { type, data: out, columns: width } = quantizeEmbeddings(rows, kept, precision, options.ranges);
    const dims = pool ? [parts.length, width] : [parts.length, longest / columns, width];
    return saying(new Tensor(type, out as TensorData, dims), truncated);
  }
}

/** The windows of a text -> its row: the mean by tokens for 'mean', the greatest for 'max', the first or last for the others; without a pooling all rows. */
function poolWindows(windows: readonly PooledWindow[], pool: SentenceModules['pooling'] | undefined): Float32Array {
  if (!pool) return joined(windows.map(({ row }) => row));
  const { row: first } = windows[0]!;
  if (pool === 'last') return windows.at(-1)!.row;
  if (pool === 'cls' || windows.length === 1) return first;
  const all = windows.reduce((sum, { tokens }) => sum + tokens, 0);
  return first.map((_, c) =>
    pool === 'max'
      ? windows.reduce((most, { row }) => Math.max(most, row[c]!), Number.NEGATIVE_INFINITY)
      : windows.reduce((sum, { row, tokens }) => sum + row[c]! * tokens, 0) / all,
  );
}
