import { wrong } from '../errors.ts';
import type { EncoderRequest } from '../model/encoder.ts';
import { joined, padTokens } from '../model-outputs.ts';
import { checkNames, text as string, textList } from '../tasks/arguments.ts';
import { normalizeRows, type PoolingName, poolingOf, truncateRows } from '../tasks/feature-extraction.ts';
import {
  type Precision,
  type PrecisionOptions,
  precisionOf,
  quantizeEmbeddings,
  type Ranges,
} from '../tasks/precision.ts';
import { Tensor, type TensorData } from '../tensor.ts';
import {
  OVERFLOW_NAMES,
  type OverflowOptions,
  RUN_NAMES,
  type RunOptions,
  type Said,
  Session,
  saying,
} from './session.ts';

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
  readonly truncated: boolean;
}

/** What `pooling: 'model'` is where the checkpoint has no modules: the usual. */
const MEAN = { pooling: 'mean', dense: [], normalize: false, maxLength: undefined } as const;

const NAMES = [
  'pooling',
  'normalize',
  'truncate_dim',
  'precision',
  'quantize',
  'ranges',
  ...RUN_NAMES,
  ...OVERFLOW_NAMES,
];

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
    const options = checkNames(this.task, given, NAMES);
    const { pooling = 'none', truncate_dim } = options;
    const list = textList(texts, string);
    const modules = pooling === 'model' ? (this.sentence ?? MEAN) : undefined;
    const pool = modules?.pooling ?? poolingOf(pooling);
    const precision = precisionOf(options);
    const normalize = options.normalize ?? modules?.normalize ?? false;
    const columns = modules?.dense.at(-1)?.outputs ?? this.engine.config.hiddenSize;
    const kept = truncate_dim ?? columns;
    // Checked before anything runs.
    truncateRows(new Float32Array(columns), columns, kept);

    const maxLength = Math.min(this.longest, modules?.maxLength ?? this.longest);
    if (!pool && options.stride) throw wrong('stride', options.stride, '0 without a pooling: a token has one row');
    const whole = options.overflow !== 'window';
    // What the GPU can do whole: with windows the mean of a text is that of its windows, and is normalised after.
    const request: EncoderRequest = pool
      ? {
          pool: {
            pooling: pool,
            normalize: normalize && whole && kept === columns && !modules?.dense.length,
            ...(modules?.dense.length && { dense: modules.dense }),
          },
        }
      : { lastHiddenState: true };
    const output = pool ? 'embedding' : 'last_hidden_state';
    const ran = await this.forward(
      list,
      text => this.encodeAll(text, undefined, options, maxLength),
      (out, { ids, truncated }): PooledWindow => ({ row: out.get(output)!, tokens: ids.length, truncated }),
      request,
      options,
    );
    const cut = ran.map(([first]) => whole && first!.truncated);
    if (!pool) {
      const rows = ran.map(windows => joined(windows.map(({ row }) => row)));
      const lengths = rows.map(({ length }) => length / columns);
      const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
      const places = lengths.map(length => ({ places: Array.from({ length }, (_, i) => i) }));
      const named = rows.map(row => new Map([['tokens', row]]));
      const data = padTokens('tokens', named, places, longest, columns).data as Float32Array;
      return saying(finished(data, [list.length, longest, columns], kept, normalize, precision, options.ranges), cut);
    }
    const data = joined(ran.map(windows => poolWindows(windows, pool)));
    const rest = normalize && !request.pool?.normalize;
    return saying(finished(data, [list.length, columns], kept, rest, precision, options.ranges), cut);
  }
}

/** Rows [..., C] truncated, normalised and quantised, in this order. */
function finished(
  data: Float32Array,
  dims: readonly number[],
  kept: number,
  normalize: boolean,
  precision: Precision,
  ranges: Ranges | undefined,
): Tensor {
  const rows = truncateRows(data, dims.at(-1)!, kept);
  if (normalize) normalizeRows(rows, kept);
  const { type, data: out, columns } = quantizeEmbeddings(rows, kept, precision, ranges);
  return new Tensor(type, out as TensorData, [...dims.slice(0, -1), columns]);
}

/** The windows of a text -> its row: the mean by tokens for 'mean', the greatest for 'max', the first or last for the others. */
function poolWindows(windows: readonly PooledWindow[], pool: 'mean' | 'cls' | 'max' | 'last'): Float32Array {
  const [first, ...others] = windows;
  if (pool === 'last') return windows.at(-1)!.row;
  if (pool === 'cls' || others.length === 0) return first!.row;
  const out = first!.row.slice();
  let sum = first!.tokens;
  for (const { row, tokens } of others) {
    sum += tokens;
    for (let c = 0; c < out.length; c++) {
      if (pool === 'max') out[c] = Math.max(out[c]!, row[c]!);
      else out[c]! += ((row[c]! - out[c]!) * tokens) / sum;
    }
  }
  return out;
}
