import type { ModelCallOptions, ModelInputs, PretrainedOptions, Tensor } from '../src/index.ts';
import type { FixtureKind } from '../tests/given-fixtures.ts';
import { expect, expectClose, expectEqual } from './harness.ts';
import { addressOf, fetchJson, library, once, ownDevice } from './library.ts';

/** Models with random weights and what Python says of them: see tests/fixtures/random/README.md. */

interface Numbers {
  shape: number[];
  data: number[];
}
/** Some rows of logits [1, L, V]. */
interface SomeRows extends Numbers {
  rows: number[];
}
export interface FixtureCase {
  text: string;
  text_pair: string | null;
  input_ids: number[];
  token_type_ids: number[] | null;
  tokens: string[];
  offsets: [number, number][];
  special: number[];
  outputs: Record<string, Numbers | Numbers[] | SomeRows | number[]>;
}
export interface Expected {
  family: string;
  head: string;
  cls: string;
  model_max_length: number;
  cases: FixtureCase[];
}

/** What any model gives, by Python's names. */
export type Outputs = Readonly<Record<string, Tensor | readonly Tensor[] | undefined>>;
export type AnyModel = ((inputs: ModelInputs, options?: ModelCallOptions) => Promise<object>) & {
  dispose(): Promise<void>;
};

const listing = await fetchJson<{ fixtures: { address: string; kind: FixtureKind }[]; models: string[] }>('/listing');
/** The addresses of large models that are there. */
export const { models } = listing;
/** The addresses of the fixtures of a kind: those of the checkout, then those that WEBGPU_BERT_FIXTURES names. */
export const fixturesOf = (wanted: FixtureKind): string[] =>
  listing.fixtures.filter(({ kind }) => kind === wanted).map(({ address }) => address);
export const fixtures = fixturesOf('texts');
/** Tiny models, one for every head of every family. */
export const heads = fixturesOf('sequences');

/** One device for all models of a page: what the first compiles the others need not. */
export const sharedDevice = once(ownDevice);

/** The class whose Python namesake made a fixture: BertForMaskedLM -> AutoModelForMaskedLM. */
export async function loadAs(
  cls: string,
  from: string | Record<string, Uint8Array>,
  options: PretrainedOptions = {},
): Promise<AnyModel> {
  const classes = library as unknown as Record<string, { from_pretrained(...values: unknown[]): Promise<AnyModel> }>;
  const name = `AutoModel${/For[A-Z]\w*$/.exec(cls)?.[0] ?? ''}`;
  const auto = classes[name];
  expect(auto, `there is no class ${name}`);
  return auto.from_pretrained(typeof from === 'string' ? addressOf(from) : from, {
    device: await sharedDevice(),
    ...options,
  });
}

/** Of |x| + 1. */
export const TOLERANCE = { absolute: 1e-4, relative: 1e-4 };

/** The names of the outputs that a case expects, as a model calls them. */
const namesOf = ({ outputs }: FixtureCase) => [
  ...new Set(Object.keys(outputs).map(name => name.replace(/_(rows|argmax)$/, ''))),
];

/** Compares row b of a batch with a case, every output of it; nothing more may be there. Gives the largest difference. */
export function compareRow(outputs: Outputs, b: number, one: FixtureCase): number {
  const label = JSON.stringify(one.text.slice(0, 30));
  expectEqual(Object.keys(outputs).sort(), namesOf(one).sort(), `the names of the outputs of ${label}`);
  let worst = 0;
  const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, name: string) => {
    worst = Math.max(worst, expectClose(actual, expected, { label: `${name} of ${label}`, ...TOLERANCE }));
  };
  for (const [key, wanted] of Object.entries(one.outputs)) {
    const name = key.replace(/_(rows|argmax)$/, '');
    const got = outputs[name]!;
    const tensors = 'dims' in got ? [got] : got;
    if (key.endsWith('_argmax')) checkGreatest(tensors[0]!, b, wanted as number[], `${key} of ${label}`);
    else if (key.endsWith('_rows')) {
      const { rows, data, shape } = wanted as SomeRows;
      const columns = shape.at(-1)!;
      expectEqual(tensors[0]!.dims.at(-1), columns, `the columns of ${name}`);
      rows.forEach((row, i) => {
        const part = data.slice(i * columns, (i + 1) * columns);
        close(tensors[0]!.slice(b, row).data as Float32Array, part, `${name} ${row}`);
      });
    } else {
      const many = (Array.isArray(wanted) ? wanted : [wanted]) as Numbers[];
      expectEqual(tensors.length, many.length, `the number of ${name}`);
      many.forEach(({ shape, data }, i) => {
        const bounds = shape.slice(1).map((n): [number, number] => [0, n]);
        expectEqual(tensors[i]!.dims.length, shape.length, `dims of ${name}`);
        close(tensors[i]!.slice(b, ...bounds).data as Float32Array, data, name);
      });
    }
  }
  return worst;
}

/** The greatest of every row is where it should be, or as good as equal to what is there. */
function checkGreatest(logits: Tensor, b: number, argmax: readonly number[], label: string): void {
  argmax.forEach((at, row) => {
    const values = logits.slice(b, row).data as Float32Array;
    const greatest = values.reduce((a, v) => Math.max(a, v));
    expect(values[at]! >= greatest - 1e-4 * (1 + Math.abs(greatest)), `${label}: row ${row} is not greatest at ${at}`);
  });
}
