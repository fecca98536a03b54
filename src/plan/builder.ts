import { padded } from '../../shaders/kernel.ts';
import type {
  AttentionOptions,
  EmbedOptions,
  EmbedTable,
  HeadOptions,
  LinearOptions,
  NormOptions,
  PoolOptions,
  QueryKeyNormOptions,
  RotaryOptions,
  VocabularyOptions,
  VocabularyPooling,
} from './builder-options.ts';
import { graphWeights } from './graph-weights.ts';
import { type Graph, type HeadLayout, MAX_K, type Op, type Output, type Rows, type Value } from './op.ts';
import { grouped, matrix, vector } from './weight.ts';

/** Writes a graph. Each method adds an op, infers the shape of its result, and throws where operands do not fit. */
export type Builder = ReturnType<typeof builder>;

export function builder() {
  const ops: Op[] = [];
  const outputs: Output[] = [];
  const { shared, tableOf, vocabularyOf, biasOfVocabulary, normOf, storedAngles, biasOf } = graphWeights();
  let values = 0;

  /** Throws where a model description is wrong. No input of a user can cause it. */
  function check(holds: boolean, message: string): void {
    if (!holds) throw new Error(`graph: ${message}`);
  }

  const checkSameShape = (a: Value, b: Value | undefined): void =>
    check(!b || (a.rows === b.rows && a.stride === b.stride), `${a.name} and ${b?.name} have different shapes`);

  const newValue = (name: string, rows: Rows, columns: number, stride = padded(columns)): Value => ({
    id: values++,
    name,
    rows,
    columns,
    stride,
  });

  /** Throws where a value has not the columns of q, k and v. */
  function headsOf(qkv: Value, { heads, keyHeads = heads, headSize }: HeadOptions, name: string): HeadLayout {
    const width = (heads + 2 * keyHeads) * padded(headSize);
    check(qkv.columns === width, `${name}: ${qkv.columns} columns of q, k, v, not ${width}`);
    check(heads % keyHeads === 0, `${name}: ${heads} heads of q, and ${keyHeads} of k`);
    return { heads, keyHeads, headSize };
  }

  return {
    /** norm(factor scales[position] (words[id] + positions[position] + types[type] + tasks[0])) -> [T, columns] */
    embed({ words, positions, types, tasks, scales, norm, factor = 1, dropout, columns }: EmbedOptions): Value {
      const optional = (table: EmbedTable | undefined) => (table?.rows ? tableOf(table, columns) : undefined);
      const y = newValue('embeddings', 'tokens', columns);
      check(!dropout || !types?.rows, `${y.name}: factors of words beside types`);
      ops.push({
        op: 'embed',
        words: words && tableOf(words, columns),
        positions: optional(positions),
        types: optional(types),
        tasks: optional(tasks),
        scales: scales && shared(vector([scales.tensor], scales.rows)),
        factor,
        dropout,
        norm: norm && normOf(norm, columns),
        y,
      });
      return y;
    },

    /** activation(x weight^T + bias) gate + residual -> [rows of x, outputs of all prefixes] */
    linear(x: Value, options: LinearOptions): Value {
      const { outputs, bias = true, activation, gate, residual, outputHead, inputHead, innerShape, groups } = options;
      const { groupMatrices, biasShape } = options;
      const prefixes = [options.from].flat();
      const inner = inputHead ? (x.columns / padded(inputHead)) * inputHead : x.columns;
      const tensors = (suffix: string) => prefixes.map(prefix => `${prefix}.${suffix}`);
      const layout = { rowHead: outputHead, columnHead: inputHead, innerShape, groups };
      const weight = shared(
        groupMatrices === undefined
          ? matrix(tensors('weight'), outputs, inner, layout)
          : grouped(tensors('weight')[0]!, outputs as number, inner, groupMatrices),
      );
      const biases = tensors('bias').map((tensor, i) =>
        (typeof bias === 'boolean' ? bias : bias[i]) ? tensor : undefined,
      );
      const columns = outputHead ? (weight.count / outputHead) * padded(outputHead) : weight.count;
      const y = newValue(prefixes.join('+'), x.rows, columns);
      check(weight.stride === x.stride, `${y.name}: a weight of ${weight.stride} columns and an input of ${x.stride}`);
      checkSameShape(y, residual);
      checkSameShape(y, gate);
      ops.push({
        op: 'linear',
        x,
        weight,
        bias: biases.some(Boolean) ? shared(vector(biases, outputs, outputHead, biasShape)) : undefined,
        activation,
        gate,
        residual,
        y,
      });
      return y;
    },

    /** q and k of every head turned by the token's position -> the shape of qkv [T, (H + 2 G) D] */
    rotary(qkv: Value, options: RotaryOptions): Value {
      const { frequencies, stretch, interleaved = false, turnsValues = false, stored, ...heads } = options;
      const y = newValue(`${qkv.name}.rotary`, 'tokens', qkv.columns);
      const layout = headsOf(qkv, heads, y.name);
      check(2 * frequencies.length <= layout.headSize, `${y.name}: ${frequencies.length} pairs in a head`);
      const pairs = frequencies.length;
      const angles = stored && storedAngles(stored, pairs);
      ops.push({ op: 'rotary', qkv, ...layout, frequencies, stretch, stored: angles, interleaved, turnsValues, y });
      return y;
    },

    /** q and k normalised, head by head or row by row -> the shape of qkv [T, (H + 2 G) D] */
    queryKeyNorm(qkv: Value, { span, query, key, ...heads }: QueryKeyNormOptions): Value {
      const y = newValue(`${qkv.name}.norm`, 'tokens', qkv.columns);
      const layout = headsOf(qkv, heads, y.name);
      const norm = (options: NormOptions, count: number) =>
        span === 'head' ? normOf(options, layout.headSize) : normOf(options, count * layout.headSize, layout.headSize);
      ops.push({
        op: 'queryKeyNorm',
        qkv,
        ...layout,
        span,
        queryNorm: norm(query, layout.heads),
        keyNorm: norm(key, layout.keyHeads),
        y,
      });
      return y;
    },

    /** qkv [T, (H + 2 G) D] -> context [T, H D], and the probabilities [H, L, L] of every sequence where they are asked for. */
    attention(
      qkv: Value,
      { name, probabilities, asScores = false, scale, bias, window, ...options }: AttentionOptions,
    ): { context: Value; probabilities: Value | undefined } {
      const layout = headsOf(qkv, options, name);
      const { heads, headSize } = layout;
      check(!asScores || window === undefined, `${name}: scores beyond a window`);
      const results = {
        context: newValue(`${name}.context`, 'tokens', heads * padded(headSize)),
        probabilities: probabilities ? newValue(`${name}.probabilities`, 'pairs', heads, heads) : undefined,
      };
      ops.push({
        op: 'attention',
        qkv,
        ...layout,
        scale: scale ?? 1 / Math.sqrt(headSize),
        bias: bias && biasOf(bias, layout),
        window,
        asScores,
        ...results,
      });
      return results;
    },

    /** norm(x + residual) + addend -> the shape of x */
    norm(x: Value, { residual, addend, ...options }: NormOptions & { residual?: Value; addend?: Value }): Value {
      checkSameShape(x, residual);
      checkSameShape(x, addend);
      const y = newValue(options.from, x.rows, x.columns);
      ops.push({ op: 'norm', x, residual, norm: normOf(options, x.columns), addend, y });
      return y;
    },

    /** The rows of two values side by side -> [rows of a, columns of both] */
    join(a: Value, b: Value): Value {
      check(a.rows === b.rows && a.columns % 4 === 0, `${a.name} beside ${b.name}: ${a.columns} columns of ${a.rows}`);
      const y = newValue(`${a.name}|${b.name}`, a.rows, a.columns + b.columns);
      ops.push({ op: 'join', a, b, y });
      return y;
    },

    /** The neighbours of every token side by side -> [T, width C] */
    unfold(x: Value, width: number, order: 'columns' | 'rows' = 'columns'): Value {
      check(x.rows === 'tokens' && width % 2 === 1, `${x.name}: ${width} neighbours`);
      const y = newValue(`${x.name}.neighbours`, 'tokens', width * x.columns);
      ops.push({ op: 'unfold', x, width, order, y });
      return y;
    },

    /** A convolution over the tokens, each column by itself: the tensor `${from}.weight` [C, 1, width] -> the shape of x [T, C] */
    depthwise(x: Value, { from, width }: { from: string; width: number }): Value {
      check(x.rows === 'tokens' && width % 2 === 1, `${from}: ${width} neighbours`);
      const weight = shared(matrix([`${from}.weight`], x.columns, width, { innerShape: [1, width] }));
      const y = newValue(from, 'tokens', x.columns);
      ops.push({ op: 'depthwise', x, weight, y });
      return y;
    },

    /** A convolution over the tokens by the softmax of scores [T, heads width] -> the shape of x [T, heads D] */
    dynamicConvolution(x: Value, scores: Value, { heads, width }: { heads: number; width: number }): Value {
      const y = newValue(`${x.name}.convolution`, 'tokens', x.columns);
      const isHeads = x.rows === 'tokens' && x.columns % (4 * heads) === 0;
      const fits = scores.rows === 'tokens' && scores.columns === heads * width && width % 2 === 1;
      check(isHeads && fits, `${y.name}: ${scores.columns} scores of ${heads} heads and ${width} neighbours`);
      ops.push({ op: 'dynamicConvolution', x, scores, heads, width, y });
      return y;
    },

    /** Each row scaled to length 1 -> the shape of x */
    normalize(x: Value): Value {
      const y = newValue(`${x.name}.normalized`, x.rows, x.columns);
      ops.push({ op: 'normalize', x, y });
      return y;
    },

    /** The mean of values of one shape, each times its number in the tensor `from` -> that shape */
    weightedMean(values: readonly Value[], from: string): Value {
      const factors = shared(vector([from], values.length));
      let sum: Value | undefined;
      for (const [index, x] of values.entries()) {
        checkSameShape(x, sum);
        const y = newValue(`${from}.${index}`, x.rows, x.columns);
        ops.push({ op: 'weigh', x, sum, factors, index, y });
        sum = y;
      }
      check(sum !== undefined, `${from}: the mean of nothing`);
      return sum!;
    },

    /** [T, C] -> [B, columns]; of several poolings [B, poolings C] */
    pool(x: Value, { pooling, normalize, columns, name }: PoolOptions): Value {
      const poolings = [pooling].flat();
      const available = poolings.length * x.columns;
      const kept = columns ?? available;
      const fits = poolings.length > 1 ? kept === available : kept <= available;
      check(x.rows === 'tokens' && fits, `${name}: ${kept} columns of ${available}`);
      const y = newValue(name, 'sequences', kept);
      ops.push({ op: 'pool', x, poolings, normalize, y });
      return y;
    },

    /** [T, C] -> [masked, C], the rows that each pass picks */
    gather(x: Value, rows: 'masked'): Value {
      const y = newValue(`${x.name}.${rows}`, rows, x.columns);
      ops.push({ op: 'gather', x, y });
      return y;
    },

    /** The logits of a vocabulary: x table^T + bias -> [rows of x, V]. `table` may be the one that `embed` reads. */
    vocabulary(x: Value, options: VocabularyOptions): Value {
      const { bias, rows } = options;
      const weight = vocabularyOf(options, x.columns);
      const y = newValue('vocabulary', x.rows, rows);
      ops.push({
        op: 'linear',
        x,
        weight,
        bias: biasOfVocabulary(bias, rows),
        activation: undefined,
        gate: undefined,
        residual: undefined,
        y,
      });
      return y;
    },

    /** The logits of a vocabulary, pooled over the tokens of each sequence -> [B, V] */
    vocabularyPool(x: Value, options: VocabularyOptions & VocabularyPooling): Value {
      const { bias, rows, pooling, logarithms } = options;
      const weight = vocabularyOf(options, x.columns);
      const y = newValue('vocabulary.pool', 'sequences', rows);
      ops.push({ op: 'vocabularyPool', x, weight, bias: biasOfVocabulary(bias, rows), pooling, logarithms, y });
      return y;
    },

    /** The best k of every row, or all where there are fewer -> [rows of x, 2 k + 2]: see shaders/top-k.ts */
    topK(x: Value, wanted: number): Value {
      check(wanted <= MAX_K, `${x.name}: the best ${wanted}, not ${MAX_K} at most`);
      const k = Math.min(wanted, x.columns);
      const y = newValue(`${x.name}.top`, x.rows, 2 * k + 2);
      ops.push({ op: 'topK', x, k, y });
      return y;
    },

    /** Names a value that the pass gives back. `layer` where the output is one of a list with an entry per layer. */
    output(name: string, value: Value, layer?: number): void {
      const isNew = outputs.every(output => output.name !== name || output.layer !== layer);
      check(isNew, `two outputs are called ${name}${layer === undefined ? '' : ` of layer ${layer}`}`);
      outputs.push({ name, layer, value });
    },

    graph: (): Graph => ({ ops, outputs }),
  };
}
