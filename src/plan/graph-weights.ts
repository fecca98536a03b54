import { padded } from '../../shaders/kernel.ts';
import type { BiasOptions, EmbedTable, NormOptions, RotaryOptions, VocabularyOptions } from './builder-options.ts';
import type { HeadLayout, Norm, ScoreBias, StoredAngles } from './op.ts';
import { bucketTable } from './relative.ts';
import { joined, matrix, vector, type Weight, weightKey } from './weight.ts';

/** The weights of a graph as its builder makes them of options: equal ones are one object. */
export function graphWeights() {
  /** By key, so that shared layers and tied tables are one weight. */
  const weights = new Map<string, Weight>();

  /** The weight that equals this one, where there is one already. */
  function shared(weight: Weight): Weight {
    const key = weightKey(weight);
    const earlier = weights.get(key) ?? weight;
    weights.set(key, earlier);
    return earlier;
  }

  const biasOfVocabulary = (tensor: string | undefined, rows: number): Weight | undefined =>
    tensor === undefined ? undefined : shared(vector([tensor], rows));

  const tableOf = ({ table, rows }: EmbedTable, columns: number): Weight =>
    shared(matrix([`${table}.weight`], rows, columns));

  /** A vocabulary's matrix [rows, columns]. */
  function vocabularyOf({ table, rest, rows }: VocabularyOptions, columns: number): Weight {
    if (!rest) return tableOf({ table, rows }, columns);
    const own = { tensor: `${table}.weight`, columns: columns - rest.columns };
    return shared(joined([own, { ...rest, transposed: true }], rows));
  }

  /** @param head The size of a head, where the columns are heads: each is padded. */
  const normOf = (
    { from, eps, kind = 'layer', bias = true, unitOffset = false }: NormOptions,
    columns: number,
    head?: number,
  ): Norm => ({
    kind,
    gamma: shared(vector([`${from}.weight`], columns, head)),
    beta: bias ? shared(vector([`${from}.bias`], columns, head)) : undefined,
    unitOffset,
    eps,
  });

  const storedAngles = ({ tensor, positions }: NonNullable<RotaryOptions['stored']>, pairs: number): StoredAngles =>
    positions === undefined
      ? { kind: 'frequencies', weight: shared(vector([tensor], pairs)) }
      : { kind: 'table', weight: shared(matrix([tensor], positions, 2 * pairs)) };

  function biasOf(options: BiasOptions, { heads, headSize }: HeadLayout): ScoreBias {
    if ('slopes' in options) return { kind: 'slopes', slopes: options.slopes };
    if ('rows' in options) {
      const { rows, count } = options;
      const table = (tensor: string | undefined) =>
        tensor === undefined ? undefined : shared(matrix([tensor], (heads * padded(headSize)) / 4, 4 * count));
      return { kind: 'disentangled', keys: table(options.keys), queries: table(options.queries), rows, count };
    }
    const { table, buckets, tableRows = buckets } = options;
    const bias = shared(matrix([`${table}.weight`], tableRows, heads));
    return { kind: 'buckets', bias, buckets: bucketTable(buckets) };
  }

  return { shared, tableOf, vocabularyOf, biasOfVocabulary, normOf, storedAngles, biasOf };
}
