import type { FeatureExtractionPipeline, PretrainedOptions, Task, Tensor } from '../src/index.ts';
import { sharedDevice } from './fixtures.ts';
import { addressOf, library } from './library.ts';

/** What the suites of tasks share: how a pipeline is loaded, and what follows from logits. */
export const TEXTS = [
  'The old tower is in the north of the town.',
  'Naïve José lives in 北京.',
  'It was built in 1889.',
];
/** More than one window of 64 tokens. */
export const LONG = 'Anna built the bridge in the old town, and José built the tower in 1889. '.repeat(7);

/** Where a fixture of the checkout lies. */
export const url = (name: string) => addressOf(`/fixtures/random/${name}/`);

/** A pipeline on the device that all models of the page share. */
export const load = async <T extends Task>(
  task: T,
  from: Parameters<typeof library.pipeline>[1],
  more: PretrainedOptions = {},
) => library.pipeline(task, from, { device: await sharedDevice(), ...more });

/** In float64. */
export function softmax(values: ArrayLike<number>): number[] {
  const top = Math.max(...Array.from(values));
  const powers = Array.from(values, value => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

/** Scores with their places, greatest first, equals in their order. */
export const descending = (scores: readonly number[]) =>
  scores.map((score, index) => ({ score, index })).sort((a, b) => b.score - a.score || a.index - b.index);

/** [rows, columns] of logits of texts and pairs, one after the other. */
export async function logitsOf(
  pipe: {
    tokenizer: (text: string, options: object) => unknown;
    model: (inputs: never) => Promise<object>;
  },
  pairs: readonly (readonly [string, string?])[],
): Promise<number[][]> {
  const rows: number[][] = [];
  for (const [text, text_pair] of pairs) {
    const inputs = pipe.tokenizer(text, { text_pair, truncation: true });
    const { logits } = (await pipe.model(inputs as never)) as { logits: Tensor };
    rows.push([...(logits.data as Float32Array)]);
  }
  return rows;
}

/** Scaled to length 1. */
export const unit = (row: readonly number[]) => row.map(v => v / Math.max(1e-12, Math.hypot(...row)));

/** [L, C] of every window, as the encoder gives them. */
export async function hidden(pipe: FeatureExtractionPipeline, text: string, stride?: number) {
  const maxLength = 64;
  const encodings =
    stride === undefined
      ? [pipe.tokenizer.text.encode(text, { maxLength })]
      : pipe.tokenizer.text.encodeWindows(text, { maxLength, stride });
  const rows: number[][][] = [];
  for (const { ids, typeIds } of encodings) {
    const { last_hidden_state } = await pipe.model({ input_ids: [ids], token_type_ids: [typeIds] });
    rows.push(last_hidden_state.slice(0).tolist() as number[][]);
  }
  return rows;
}

/** Of the angle between two vectors. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
