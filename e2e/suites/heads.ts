import type { ModelInputs, Tensor } from '../../src/index.ts';
import { MODEL_TYPES } from '../../src/model/config.ts';
import { cosine } from '../answers.ts';
import { type AnyModel, heads, loadAs, type Outputs, TOLERANCE } from '../fixtures.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { fetchJson } from '../library.ts';
import { fewOf } from '../slow-compiler.ts';

/**
 * Every head of every family, in tiny shapes that need padding everywhere, in every dtype, against what Python computed in float64:
 * tests/fixtures/interpreter. The notes of these cases make the table of families in the docs (scripts/families.mjs).
 */

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface Case {
  readonly input_ids: readonly number[];
  readonly token_type_ids: readonly number[] | null;
  readonly attention_mask: readonly number[];
  /** The task whose weights it was computed with. */
  readonly default_task?: string;
  readonly outputs: Readonly<Record<string, Numbers | readonly Numbers[]>>;
}
interface Expected {
  readonly cls: string;
  readonly cases: readonly Case[];
}

/** The least cosine of an output with Python's. Such small rows have little that the rounding of a weight could cancel in. */
const LEAST_COSINE = { fp16: 0.9999, q8: 0.98 } as const;

/** Families whose numbers are held to twice the tolerance: three terms in a score, and rows that grow with every layer. */
const TWICE = ['deberta', 'deberta-v2', 'gemma3_text'];

/** What Python calls the outputs, where the classes here have another name. */
const NAMES: Readonly<Record<string, string>> = { prediction_logits: 'logits', sop_logits: 'seq_relationship_logits' };

/** Pairs of numbers: what a model gives, and what Python gives, for every output of a case. Tokens that are not seen have no numbers here. */
function pairsOf(outputs: Outputs, { outputs: expected, attention_mask }: Case): [string, number[], number[]][] {
  return Object.entries(expected).flatMap(([name, wanted]) => {
    const output = outputs[name] ?? outputs[NAMES[name] ?? ''];
    expect(output, `there is no output ${name} among ${Object.keys(outputs)}`);
    const tensors = [output].flat() as Tensor[];
    const lists = [wanted].flat() as Numbers[];
    expectEqual(tensors.length, lists.length, `the number of ${name}`);
    return lists.map(({ shape, data }, i): [string, number[], number[]] => {
      const actual = [...(tensors[i]!.data as Float32Array)];
      expectEqual(actual.length, data.length, `the numbers of ${name}`);
      const perToken = data.length / attention_mask.length;
      const isByToken = shape.length === 3 || (shape.length === 2 && shape[1] === attention_mask.length);
      const isSeen = (_: number, at: number) => !isByToken || attention_mask[Math.floor(at / perToken)] === 1;
      return [name, actual.filter(isSeen), data.filter(isSeen)];
    });
  });
}

const DTYPES = ['fp32', 'fp16', 'q8'] as const;
/** Those that a class is tried in. A head has the kernels of the model without one. */
const dtypesOf = (cls: string) => (/For[A-Z]/.test(cls) ? fewOf(DTYPES) : DTYPES);

/** The longest names first: one may begin with another. */
const families = MODEL_TYPES.toSorted((a, b) => b.length - a.length);

for (const url of heads) {
  const name = url.replace('/fixtures/interpreter/', '').replace(/\/$/, '');
  // The folder is named after the family, the class, and what is more in between; "drawn-" stands before one that was found by chance.
  const base = name
    .split('/')
    .at(-1)!
    .replace(/^drawn-/, '');
  const family = families.find(type => base.startsWith(`${type}-`));
  check(name, async log => {
    expect(family, `the name of the folder ${name} begins with no model_type`);
    const { cases, cls } = await fetchJson<Expected>(`${url}expected.json`);
    const figures: Record<string, number> = {};
    const tasks = [...new Set(cases.map(({ default_task }) => default_task))];
    for (const dtype of dtypesOf(cls)) {
      let [largest, least] = [0, 1];
      const models = new Map<string | undefined, AnyModel>();
      for (const task of tasks) models.set(task, await loadAs(cls, url, { dtype, default_task: task ?? null }));
      for (const one of cases) {
        const model = models.get(one.default_task)!;
        // A choice is a row of a list of choices.
        const rows = (row: readonly number[]) => (cls.endsWith('MultipleChoice') ? [[row]] : [row]);
        const inputs = {
          input_ids: rows(one.input_ids),
          attention_mask: rows(one.attention_mask),
          ...(one.token_type_ids && { token_type_ids: rows(one.token_type_ids) }),
        } as ModelInputs;
        const outputs = (await model(inputs, {
          output_hidden_states: 'hidden_states' in one.outputs,
          output_attentions: 'attentions' in one.outputs,
        })) as Outputs;
        for (const [name, actual, expected] of pairsOf(outputs, one)) {
          if (dtype !== 'fp32') {
            // Of a single number a cosine says nothing.
            if (expected.length > 1) least = Math.min(least, cosine(actual, expected));
            continue;
          }
          const factor = TWICE.includes(family) ? 2 : 1;
          const { absolute, relative } = TOLERANCE;
          const limits = { absolute: factor * absolute, relative: factor * relative };
          largest = Math.max(largest, expectClose(actual, expected, { label: name, ...limits }));
        }
      }
      for (const model of models.values()) await model.dispose();
      figures[dtype] = dtype === 'fp32' ? largest : least;
      if (dtype !== 'fp32') expect(least >= LEAST_COSINE[dtype], `${dtype}: the least cosine is ${least}`);
    }
    log(JSON.stringify({ family, cls, ...figures }));
  });
}
