import { namedWords, normalNumbers } from '../../../src/random.ts';
import { safetensorsFile } from '../../../src/saving/index.ts';

/** Columns of an attention head. */
const HEAD = 64;

/** config.json of a BERT of two layers with a head of two labels and no dropout, of which both sides of the comparison are made. */
export const smallBert = (columns: number) => ({
  architectures: ['BertForSequenceClassification'],
  model_type: 'bert',
  vocab_size: 1000,
  hidden_size: columns,
  num_hidden_layers: 2,
  num_attention_heads: columns / HEAD,
  intermediate_size: 4 * columns,
  hidden_act: 'gelu',
  max_position_embeddings: 32,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  pad_token_id: 0,
});

export type SmallBert = ReturnType<typeof smallBert>;

/** A weight as a checkpoint has it: a matrix is [out, in]. */
export interface InitialWeight {
  readonly shape: readonly number[];
  readonly numbers: Float32Array<ArrayBuffer>;
}

/** The names and shapes of all weights. */
function weightShapes(config: SmallBert): [name: string, shape: number[]][] {
  const { hidden_size: H, intermediate_size: I, vocab_size, type_vocab_size, max_position_embeddings } = config;
  const linear = (name: string, outputs: number, inputs: number): [string, number[]][] => [
    [`${name}.weight`, [outputs, inputs]],
    [`${name}.bias`, [outputs]],
  ];
  const norm = (name: string): [string, number[]][] => [
    [`${name}.LayerNorm.weight`, [H]],
    [`${name}.LayerNorm.bias`, [H]],
  ];
  const layer = (name: string) => [
    ...['query', 'key', 'value'].flatMap(part => linear(`${name}.attention.self.${part}`, H, H)),
    ...linear(`${name}.attention.output.dense`, H, H),
    ...norm(`${name}.attention.output`),
    ...linear(`${name}.intermediate.dense`, I, H),
    ...linear(`${name}.output.dense`, H, I),
    ...norm(`${name}.output`),
  ];
  return [
    ['bert.embeddings.word_embeddings.weight', [vocab_size, H]],
    ['bert.embeddings.position_embeddings.weight', [max_position_embeddings, H]],
    ['bert.embeddings.token_type_embeddings.weight', [type_vocab_size, H]],
    ...norm('bert.embeddings'),
    ...Array.from({ length: config.num_hidden_layers }, (_, i) => layer(`bert.encoder.layer.${i}`)).flat(),
    ...linear('bert.pooler.dense', H, H),
    ...linear('classifier', 2, H),
  ];
}

/** Weights as transformers begins with them: norms of ones and zeros, biases of zeros, all else normal with a deviation of 0.02. */
export function initialWeights(config: SmallBert, seed: number): Map<string, InitialWeight> {
  const values = (name: string, length: number) => {
    const numbers = new Float32Array(length);
    if (name.endsWith('.bias')) return numbers;
    if (name.endsWith('LayerNorm.weight')) return numbers.fill(1);
    const next = normalNumbers(namedWords(seed, name));
    return numbers.map(() => 0.02 * next());
  };
  return new Map(
    weightShapes(config).map(([name, shape]) => {
      const length = shape.reduce((product, size) => product * size);
      return [name, { shape, numbers: values(name, length) }];
    }),
  );
}

/** The files of a checkpoint with these weights. */
export async function checkpointOf(
  config: SmallBert,
  weights: ReadonlyMap<string, InitialWeight>,
): Promise<Record<string, Uint8Array>> {
  const tensors = [...weights].map(([name, { shape, numbers }]) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: new Blob([numbers]),
  }));
  const file = safetensorsFile('model.safetensors', tensors, { format: 'pt' });
  return {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': new Uint8Array(await file.arrayBuffer()),
  };
}
