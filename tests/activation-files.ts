import { safetensors } from './checkpoint-bytes.ts';

/** fixtures/sentence/activations.json: what a Dense of sentence-transformers makes of 16 rows of 4 numbers, by its activation. */
export interface Activations {
  readonly rows: readonly number[];
  /** [3, 4] */
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  /** [16, 3] of every activation, in float64. */
  readonly results: Readonly<Record<string, readonly number[]>>;
}

const ROWS = 16;
/** One text for each row. */
export const ROW_TEXTS = Array.from({ length: ROWS }, (_, row) => `w${row}`);

/** A StaticEmbedding of the rows and a Dense with this activation, as sentence-transformers saves them. */
export function activationFiles(
  name: string,
  { rows, weight, bias }: Activations,
): Record<string, Uint8Array<ArrayBuffer>> {
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
  const tensor = (values: readonly number[], shape: readonly number[]) => ({
    dtype: 'F32',
    shape: [...shape],
    bytes: new Uint8Array(Float32Array.from(values).buffer),
  });
  const modules = [
    ['', 'sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding'],
    ['1_Dense', 'sentence_transformers.base.modules.dense.Dense'],
  ];
  const vocab = Object.fromEntries(ROW_TEXTS.map((text, id) => [text, id]));
  return {
    'modules.json': json(modules.map(([path, type], idx) => ({ idx, name: `${idx}`, path, type }))),
    'tokenizer.json': json({
      model: { type: 'WordLevel', unk_token: '[UNK]', vocab },
      pre_tokenizer: { type: 'Whitespace' },
      added_tokens: [],
    }),
    'model.safetensors': safetensors({ 'embedding.weight': tensor(rows, [ROWS, 4]) }),
    '1_Dense/config.json': json({
      in_features: 4,
      out_features: 3,
      bias: true,
      activation_function: `torch.nn.modules.activation.${name}`,
    }),
    '1_Dense/model.safetensors': safetensors({
      'linear.weight': tensor(weight, [3, 4]),
      'linear.bias': tensor(bias, [3]),
    }),
  };
}
