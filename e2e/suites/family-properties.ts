import type { Tensor } from '../../src/index.ts';
import { random } from '../dispatch.ts';
import { sharedDevice, TOLERANCE } from '../fixtures.ts';
import { check, expectClose, expectEqual } from '../harness.ts';
import { library } from '../library.ts';
import { type FamilyShape, randomFamily } from '../random-family.ts';

/** Every family in shapes that nobody trains, drawn at random, against the float64 forward pass with a masked-LM head. */

const DRAWS: Pick<FamilyShape, 'family' | 'act' | 'layers'>[] = [
  { family: 'bert', act: 'gelu', layers: 24 },
  { family: 'distilbert', act: 'relu', layers: 1 },
  { family: 'distilbert', act: 'gelu', layers: 6 },
  { family: 'roberta', act: 'gelu_new', layers: 13 },
  { family: 'electra', act: 'gelu', layers: 3 },
  { family: 'electra', act: 'swish', layers: 2 },
  { family: 'albert', act: 'gelu_new', layers: 5 },
  { family: 'albert', act: 'gelu', layers: 12 },
  { family: 'mpnet', act: 'gelu', layers: 2 },
  { family: 'mpnet', act: 'gelu', layers: 4 },
  { family: 'ernie', act: 'relu', layers: 2 },
  { family: 'ernie', act: 'gelu', layers: 7 },
];

function draw({ family, ...rest }: (typeof DRAWS)[number], seed: number): FamilyShape {
  const next = random(seed);
  // Its numbers are spread about zero: wrapped into the range they are near enough to even.
  const pick = (least: number, most: number) => {
    const [value = 0] = next(1, 1000);
    return least + (Math.abs(Math.floor(value)) % (most - least + 1));
  };
  const headSize = [5, 9, 12, 3, 13, 7, 10][pick(0, 6)]!;
  return {
    family,
    ...rest,
    headSize,
    heads: pick(1, 6),
    inner: 4 * pick(2, 24) + pick(1, 3),
    vocabulary: 2 * pick(20, 220) + 1,
    longest: family === 'mpnet' ? pick(140, 170) : pick(20, 45),
    ...(['electra', 'albert'].includes(family) && { embedding: 4 * pick(2, 9) + pick(1, 3) }),
    ...(family === 'albert' && { groups: rest.layers > 6 ? 3 : 2 }),
    ...(family === 'mpnet' && { buckets: 32 }),
  };
}

for (const [i, drawn] of DRAWS.entries()) {
  const seed = 100 + i;
  const shape = draw(drawn, seed);
  const { family, heads, headSize, inner, layers, vocabulary, longest, act } = shape;
  const more = [
    shape.embedding && `E ${shape.embedding}`,
    shape.groups && `${shape.groups} groups`,
    shape.buckets && `${shape.buckets} buckets`,
  ].filter(Boolean);
  const name = `${family}: ${layers} layers, ${heads} heads of ${headSize}, F ${inner}, V ${vocabulary}, L ${longest}, ${act}`;
  check([name, ...more].join(', '), async log => {
    const { files, forward } = randomFamily(shape, seed);
    const next = random(seed);
    const below = (limit: number, count: number) => Array.from(next(count, 1000), v => Math.abs(Math.floor(v)) % limit);
    const rows = [1, 2, 5, 17, longest].map(length => ({
      // Ids of no padding: fairseq's models do not count it.
      ids: below(vocabulary - 2, length).map(id => id + 2),
      types: family === 'roberta' ? Array<number>(length).fill(0) : below(2, length),
    }));
    const options = { device: await sharedDevice() };
    const [model, masked] = await Promise.all([
      library.AutoModel.from_pretrained(files, options),
      library.AutoModelForMaskedLM.from_pretrained(files, options),
    ]);
    const inputs = { input_ids: rows.map(({ ids }) => ids), token_type_ids: rows.map(({ types }) => types) };
    const out = await model(inputs, { output_attentions: true });
    const { logits } = await masked(inputs);
    expectEqual(logits.dims, [rows.length, longest, vocabulary], 'dims of logits');
    expectEqual(out.attentions!.length, layers, 'attentions');
    let worst = 0;
    const close = (tensor: Tensor, b: number, dims: number[], expected: ArrayLike<number>, label: string) => {
      const bounds = dims.map((n): [number, number] => [0, n]);
      const actual = tensor.slice(b, ...bounds).data as Float32Array;
      worst = Math.max(worst, expectClose(actual, expected, { label: `${label} of row ${b}`, ...TOLERANCE }));
    };
    rows.forEach((row, b) => {
      const L = row.ids.length;
      const wanted = forward(row);
      close(out.last_hidden_state, b, [L, heads * headSize], wanted.last, 'last_hidden_state');
      close(logits, b, [L, vocabulary], wanted.logits, 'logits');
      out.attentions!.forEach((tensor, layer) => {
        close(tensor, b, [heads, L, L], wanted.attentions[layer]!, `attentions[${layer}]`);
      });
    });
    await model.dispose();
    await masked.dispose();
    log(`largest difference ${worst.toExponential(1)}`);
  });
}
