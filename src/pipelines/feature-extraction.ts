import type { EncoderRequest } from '../model/encoder.ts';
import { padTokens, stack } from '../model-outputs.ts';
import { checkNames } from '../tasks/arguments.ts';
import { normalizeRows, type PoolingName, poolingOf, textList, truncateRows } from '../tasks/feature-extraction.ts';
import { type PrecisionOptions, precisionOf, quantizeEmbeddings, type Ranges } from '../tasks/precision.ts';
import { Tensor, type TensorData } from '../tensor.ts';
import type { Encoding } from '../text/encoding.ts';
import { OVERFLOW_NAMES, type OverflowOptions, type RunOptions, Session, saying, tokensOf } from './session.ts';

export interface FeatureExtractionOptions extends RunOptions, OverflowOptions, PrecisionOptions {
  /** Default: 'none', one row per token. */
  pooling?: PoolingName;
  /** Scale every row to length 1. Default: false. */
  normalize?: boolean;
  /** Keep the first so many columns (Matryoshka embeddings), before they are normalised. Default: all. */
  truncate_dim?: number;
  /** Of every column, for precision 'int8' and 'uint8'. Default: those of the texts of the call. */
  ranges?: Ranges;
}

const NAMES = ['pooling', 'normalize', 'truncate_dim', 'precision', 'quantize', 'ranges', 'signal', ...OVERFLOW_NAMES];

/** Texts -> vectors, as transformers.js's FeatureExtractionPipeline. */
export class FeatureExtractionPipeline extends Session<'last_hidden_state' | 'pooler_output'> {
  /**
   * What calling the pipeline does: [texts, C] with a pooling, [texts, longest, C] without, rows past a text's end zero.
   * Throws InputError, UnsupportedError, DeviceError, or the signal's reason.
   *
   *   const out = await extractor(['a', 'b'], { pooling: 'mean', normalize: true }); // out.dims: [2, 384]
   *   out.truncated; // [false, false]: whether a text was longer than the model takes
   */
  async _call(texts: string | readonly string[], options: FeatureExtractionOptions = {}): Promise<Tensor> {
    checkNames(this.task, options, NAMES);
    const { pooling = 'none', normalize = false, truncate_dim, signal } = options;
    const list = textList(texts);
    const pool = poolingOf(pooling);
    const precision = precisionOf(options);
    const { hiddenSize } = this.engine.config;
    const kept = truncate_dim ?? hiddenSize;
    // Checked before anything runs.
    truncateRows(new Float32Array(hiddenSize), hiddenSize, kept);

    const windows: { text: number; encoding: Encoding }[] = [];
    const encodeAll = (text: string) => this.encodeAll(text, undefined, pool ? options : { ...options, stride: 0 });
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
      ? { pool: { pooling: pool, normalize: normalize && whole && kept === hiddenSize } }
      : { lastHiddenState: true };
    const outputs = await this.forward(sequences(), request, signal);
    const cut = list.map((_, i) => whole && windows[i]!.encoding.truncated);
    if (!pool) {
      const rows = joinWindows(
        list.length,
        windows,
        outputs.map(out => out.get('last_hidden_state')!),
        hiddenSize,
      );
      const longest = Math.max(...rows.map(({ length }) => length / hiddenSize));
      const places = rows.map(({ length }) => ({ places: Array.from({ length: length / hiddenSize }, (_, i) => i) }));
      const named = rows.map(row => new Map([['tokens', row]]));
      const data = padTokens('tokens', named, places, longest, hiddenSize).data as Float32Array;
      return saying(this.#finished(data, [list.length, longest], kept, normalize, precision, options.ranges), cut);
    }
    let data = stack('embedding', outputs, hiddenSize).data as Float32Array;
    if (!whole) data = poolWindows(list.length, windows, data, hiddenSize, pool);
    const rest = normalize && !request.pool?.normalize;
    return saying(this.#finished(data, [list.length], kept, rest, precision, options.ranges), cut);
  }

  #finished(
    data: Float32Array,
    dims: readonly number[],
    kept: number,
    normalize: boolean,
    precision: ReturnType<typeof precisionOf>,
    ranges: Ranges | undefined,
  ): Tensor {
    const rows = truncateRows(data, this.engine.config.hiddenSize, kept);
    if (normalize) normalizeRows(rows, kept);
    const { type, data: out, columns } = quantizeEmbeddings(rows, kept, precision, ranges);
    return new Tensor(type, out as TensorData, [...dims, columns]);
  }
}

/** The rows of a text's windows, one behind the other. */
function joinWindows(
  texts: number,
  windows: readonly { text: number }[],
  outputs: readonly Float32Array[],
  columns: number,
): Float32Array[] {
  return Array.from({ length: texts }, (_, text) => {
    const mine = outputs.filter((_, i) => windows[i]!.text === text);
    if (mine.length === 1) return mine[0]!;
    const joined = new Float32Array(mine.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const rows of mine) {
      joined.set(rows, at);
      at += rows.length;
    }
    return joined.subarray(0, Math.floor(joined.length / columns) * columns);
  });
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
