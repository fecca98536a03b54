import type { Tensor } from '../../src/index.ts';
import { random } from '../../tests/checkpoint-bytes.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { library } from '../library.ts';
import { type BertShape, forward, randomBert, type StoredAs, type Tokens } from '../random-bert.ts';

/** BERTs of shapes that nobody trains, with random weights, against the float64 forward pass. */

interface Draw {
  seed: number;
  act: string;
  as: StoredAs;
  shards?: number;
  prefix?: string;
  pooler?: boolean;
  /** As a list of Files instead of bytes. */
  asFiles?: boolean;
}

const DRAWS: Draw[] = [
  { seed: 1, act: 'gelu', as: 'F32' },
  { seed: 2, act: 'relu', as: 'F16', asFiles: true, shards: 3 },
  { seed: 3, act: 'swish', as: 'BF16', prefix: 'bert.' },
  { seed: 4, act: 'gelu_new', as: 'F32', shards: 2 },
  { seed: 5, act: 'tanh', as: 'F16', pooler: false },
];

/** Hidden and intermediate sizes that are no multiple of four, head sizes that are no power of two, odd vocabularies. */
function draw(seed: number, act: string): BertShape {
  const next = random(seed);
  const pick = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  // A head size of 12 makes a hidden size that is a multiple of four; the others, with these heads, make none.
  const head = [5, 9, 12, 3, 13, 7][seed % 6]!;
  const heads = [3, 2, 5, 1, 6, 7][pick(0, 5)]!;
  return {
    num_attention_heads: heads,
    hidden_size: heads * head,
    intermediate_size: 4 * pick(1, 30) + pick(1, 3),
    vocab_size: 2 * pick(10, 200) + 1,
    num_hidden_layers: 1 + (seed % 4),
    type_vocab_size: 1 + (seed % 3),
    max_position_embeddings: pick(20, 45),
    hidden_act: act,
  };
}

/** The rows of a batch padded to L, with a mask that also has holes; and what is left of every row. */
function batch(shape: BertShape, seed: number) {
  const next = random(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const width = shape.max_position_embeddings;
  const lengths = [1, 2, 5, 17, width];
  const list = (fill: () => number) => lengths.map(() => Array.from({ length: width }, fill));
  const input_ids = list(() => below(shape.vocab_size));
  const token_type_ids = list(() => below(shape.type_vocab_size));
  const attention_mask = lengths.map(length => Array.from({ length: width }, (_, i) => Number(i < length)));
  // Holes: one in a row of five, every third token of the longest; and a row that begins with one.
  attention_mask[2]![2] = 0;
  for (let i = 1; i < width; i += 3) attention_mask[4]![i] = 0;
  attention_mask[3]![0] = 0;
  const kept = attention_mask.map((mask, b): Tokens => {
    const positions = [...mask.keys()].filter(i => mask[i] === 1);
    return {
      positions,
      ids: positions.map(i => input_ids[b]![i]!),
      types: positions.map(i => token_type_ids[b]![i]!),
    };
  });
  return { inputs: { input_ids, token_type_ids, attention_mask }, kept, width };
}

/** Rows of the tokens that were kept; everything else must be zero. */
function keptRows(tensor: Tensor, b: number, { positions }: Tokens): number[] {
  const rows = tensor.slice(b).tolist() as number[][];
  rows.forEach((row, i) => {
    if (!positions.includes(i))
      expect(
        row.every(v => v === 0),
        `row ${i}, which is padding, is not zero`,
      );
  });
  return positions.flatMap(i => rows[i]!);
}

function keptPairs(tensor: Tensor, b: number, { positions }: Tokens): number[] {
  const heads = tensor.slice(b).tolist() as number[][][];
  return heads.flatMap(head => positions.flatMap(i => positions.map(j => head[i]![j]!)));
}

for (const { seed, act, as, asFiles = false, ...rest } of DRAWS) {
  const shape = draw(seed, act);
  const { hidden_size: C, num_attention_heads: H, num_hidden_layers: layers, intermediate_size: F } = shape;
  const name = `${layers} layers, ${H} heads of ${C / H}, C ${C}, F ${F}, ${shape.type_vocab_size} types, ${act}, ${as}`;
  const more = [
    rest.shards && `${rest.shards} shards`,
    asFiles && 'Files',
    rest.prefix,
    rest.pooler === false && 'no pooler',
  ];
  check([name, ...more].filter(Boolean).join(', '), async log => {
    const bert = randomBert(shape, { seed, as, ...rest });
    const from = asFiles ? Object.entries(bert.files).map(([file, bytes]) => new File([bytes], file)) : bert.files;
    const model = await library.AutoModel.from_pretrained(from);
    const { inputs, kept, width } = batch(shape, seed);
    const out = await model(inputs, { output_attentions: true, output_hidden_states: true });
    expectEqual(out.last_hidden_state.dims, [kept.length, width, C], 'dims of last_hidden_state');
    expectEqual(out.hidden_states?.length, layers + 1, 'the number of hidden_states');
    expectEqual(
      out.attentions?.map(({ dims }) => dims),
      Array(layers).fill([kept.length, H, width, width]),
      'attentions',
    );
    expect('pooler_output' in out === (rest.pooler ?? true), 'pooler_output where there is no pooler, or none');
    let worst = 0;
    const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, label: string) => {
      worst = Math.max(worst, expectClose(actual, expected, { label, absolute: 1e-4, relative: 1e-4 }));
    };
    kept.forEach((tokens, b) => {
      const wanted = forward(bert, tokens);
      close(keptRows(out.last_hidden_state, b, tokens), wanted.last, `last_hidden_state of row ${b}`);
      out.hidden_states!.forEach((tensor, i) => {
        close(keptRows(tensor, b, tokens), wanted.hiddenStates[i]!, `hidden_states[${i}] of row ${b}`);
      });
      out.attentions!.forEach((tensor, i) => {
        close(keptPairs(tensor, b, tokens), wanted.attentions[i]!, `attentions[${i}] of row ${b}`);
      });
      if (wanted.pooled) close(out.pooler_output!.slice(b).data as Float32Array, wanted.pooled, `pooler of row ${b}`);
    });
    await model.dispose();
    log(`largest difference ${worst.toExponential(1)}`);
  });
}
