import { describe, expect, it } from 'vitest';
import { NO_DROPOUT, planTraining, planUpdate, type TrainingPlan, trainableForm } from '../src/gradients/index.ts';
import { ADDS } from '../src/gradients/step.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/index.ts';
import { taskGraph } from '../src/training/task.ts';
import { GPU } from './caps.ts';
import { UPDATE } from './update-options.ts';

const SIZES = {
  vocab_size: 50,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  hidden_act: 'gelu',
  max_position_embeddings: 32,
  type_vocab_size: 2,
};

function planOf(fields: object, head: 'SequenceClassification' | 'MaskedLM'): TrainingPlan {
  const config = readConfig({ ...SIZES, ...fields });
  const problem = head === 'MaskedLM' ? 'masked_lm' : 'single_label_classification';
  const graph = taskGraph({ config, head, problem, labels: 2 } as Parameters<typeof taskGraph>[0], {
    trainable: () => true,
    dropout: NO_DROPOUT,
  });
  return planTraining(graph, GPU);
}

/** The states that a step writes, with what it says of adding. */
const writesOf = ({ steps }: TrainingPlan) =>
  steps.flatMap(({ kernel, args, params }) =>
    kernel.bindings.flatMap(({ name, access }) => {
      const argument = args[name];
      return access === 'write' && argument?.kind === 'state' ? [{ state: argument.name, adds: params.adds }] : [];
    }),
  );

describe('what the first micro-batch writes over', () => {
  it('is the gradient of a linear, which is not cleared', () => {
    const plan = planOf(
      { model_type: 'bert', architectures: ['BertForSequenceClassification'] },
      'SequenceClassification',
    );
    const { gradients, cleared } = planUpdate(plan, UPDATE, GPU);
    const kept = gradients.map(({ name }) => name).filter(name => plan.overwritten.has(name));
    expect(kept.length).toBe(2 * (4 * 2 + 2));
    expect(cleared.map(({ name }) => name).some(name => plan.overwritten.has(name))).toBe(false);
    expect(cleared.length + kept.length).toBe(gradients.length);
    // Of each exactly one step writes over it, and that is the first.
    for (const name of kept) {
      const writes = writesOf(plan).filter(({ state }) => state === name);
      expect(writes.map(({ adds }) => adds)).toEqual([ADDS]);
    }
  });

  it('is written over once where layers share their weights: the others add', () => {
    const plan = planOf(
      {
        model_type: 'albert',
        architectures: ['AlbertForSequenceClassification'],
        embedding_size: 8,
        inner_group_num: 1,
        num_hidden_groups: 1,
      },
      'SequenceClassification',
    );
    const shared = [...plan.overwritten].map(name => writesOf(plan).filter(({ state }) => state === name));
    expect(shared.some(writes => writes.length > 1)).toBe(true);
    for (const writes of shared)
      expect(writes.map(({ adds }) => adds)).toEqual([ADDS, ...writes.slice(1).map(() => 1)]);
  });

  it('is not a gradient of which a step writes a part, nor one that others add to first', () => {
    const plan = planOf({ model_type: 'bert', architectures: ['BertForMaskedLM'] }, 'MaskedLM');
    for (const { state, adds } of writesOf(plan)) {
      expect(adds === ADDS, state).toBe(adds !== undefined && plan.overwritten.has(state));
    }
    const { gradients } = planUpdate(plan, UPDATE, GPU);
    for (const { name, bytes } of gradients) {
      if (plan.overwritten.has(name)) expect(bytes, name).toBeGreaterThan(0);
    }
    const first = new Map<string, unknown>();
    for (const { state, adds } of writesOf(plan)) if (!first.has(state)) first.set(state, adds);
    for (const name of plan.overwritten) expect(first.get(name), name).toBe(ADDS);
  });
});

describe('residuals', () => {
  const config = readConfig({ ...SIZES, model_type: 'bert' });
  const graph = encoderGraph(config, { pool: { pooling: 'mean', normalize: true } });

  it('stand in the linear before a norm, or in its dropout', () => {
    for (const rate of [0, 0.1]) {
      const rates = { ...NO_DROPOUT, attentionOutput: rate, output: rate };
      const { ops } = trainableForm(graph, rates);
      const norms = ops.filter(op => op.op === 'norm');
      expect(norms.length).toBe(5);
      expect(norms.every(({ residual }) => residual === undefined)).toBe(true);
      const added = ops.filter(op => (op.op === 'linear' || op.op === 'dropout') && op.residual);
      expect(added.map(({ op }) => op)).toEqual(Array(4).fill(rate ? 'dropout' : 'linear'));
    }
  });

  it('stay in the norm where something else reads what it is the sum of', () => {
    const [norm] = graph.ops.filter(op => op.op === 'norm');
    const outputs = [...graph.outputs, { ...graph.outputs[0]!, name: 'before', value: norm!.x }];
    const { ops } = trainableForm({ ...graph, outputs });
    const norms = ops.filter(op => op.op === 'norm');
    expect(norms.filter(({ residual }) => residual).map(({ x }) => x.name)).toEqual([norm!.x.name]);
  });
});
