import type { EncoderRequest } from '../model/encoder.ts';
import { padTokens, stack } from '../model-outputs.ts';
import { checkNames, wrong } from '../tasks/arguments.ts';
import { normalizeRows, type PoolingName, poolingOf, textList, truncateRows } from '../tasks/feature-extraction.ts';
import {
  type Precision,
  type PrecisionOptions,
  precisionOf,
  quantizeEmbeddings,
  type Ranges,
} from '../tasks/precision.ts';
import { Tensor, type TensorData } from '../tensor.ts';
import type { Encoding } from '../text/encoding.ts';
import {
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
  tokensOf,
  windowsOf,
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

/** What `pooling: 'model'` is where the checkpoint has no modules: the usual. */
const MEAN = { pooling: 'mean', dense: [], normalize: false, maxLength: undefined } as const;

const NAMES = ['pooling', 'normalize', 'truncate_dim', 'precision', 'quantize', 'ranges', 'signal', ...OVERFLOW_NAMES];

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
    const { pooling = 'none', truncate_dim, signal } = options;
    const list = textList(texts);
    const modules = pooling === 'model' ? (this.sentence ?? MEAN) : undefined;
    const pool = modules?.pooling ?? poolingOf(pooling);
    const precision = precisionOf(options);
    const normalize = options.normalize ?? modules?.normalize ?? false;
    const columns = modules?.dense.at(-1)?.outputs ?? this.engine.config.hiddenSize;
    const kept = truncate_dim ?? columns;
    // Checked before anything runs.
    truncateRows(new Float32Array(columns), columns, kept);

    const windows: { text: number; encoding: Encoding }[] = [];
    const maxLength = Math.min(this.longest, modules?.maxLength ?? this.longest);
    if (!pool && options.stride) throw wrong('stride', options.stride, '0 without a pooling: a token has one row');
    const encodeAll = (text: string) => this.encodeAll(text, undefined, options, maxLength);
    function* sequences() {
      for (const [text, value] of list.entries()) {
        for (const encoding of encodeAll(value)) {
          windows.push({ text, encoding });
          yield tokensOf(encoding);
        }
      }
    }
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
    const outputs = await this.forward(sequences(), request, signal);
    const ofText = windowsOf(list.length, windows);
    const cut = ofText.map(([first]) => whole && windows[first!]!.encoding.truncated);
    if (!pool) {
      const rows = ofText.map(mine => joined(mine.map(i => outputs[i]!.get('last_hidden_state')!)));
      const longest = Math.max(...rows.map(({ length }) => length / columns));
      const places = rows.map(({ length }) => ({ places: Array.from({ length: length / columns }, (_, i) => i) }));
      const named = rows.map(row => new Map([['tokens', row]]));
      const data = padTokens('tokens', named, places, longest, columns).data as Float32Array;
      return saying(finished(data, [list.length, longest, columns], kept, normalize, precision, options.ranges), cut);
    }
    let data = stack('embedding', outputs, columns).data as Float32Array;
    if (!whole) data = poolWindows(list.length, windows, data, columns, pool);
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

/** Arrays one behind the other. */
function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Windows -> texts: the mean by tokens for 'mean', the greatest for 'max', the first or last window for the others. */
function poolWindows(
  texts: number,
  windows: readonly { text: number; encoding: Encoding }[],
  data: Float32Array,
  columns: number,
  pooling: 'mean' | 'cls' | 'max' | 'last',
): Float32Array {
  const out = new Float32Array(texts * columns);
  const tokens = new Float64Array(texts);
  windows.forEach(({ text, encoding: { ids } }, w) => {
    const first = tokens[text] === 0;
    tokens[text]! += ids.length;
    for (let c = 0; c < columns; c++) {
      const value = data[w * columns + c]!;
      const at = text * columns + c;
      if (first || pooling === 'last') out[at] = value;
      else if (pooling === 'max') out[at] = Math.max(out[at]!, value);
      else if (pooling === 'mean') out[at]! += ((value - out[at]!) * ids.length) / tokens[text]!;
    }
  });
  return out;
}
