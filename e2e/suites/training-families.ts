import { backward, type LabelledSequence, NO_DROPOUT, trainableForm } from '../../src/gradients/index.ts';
import { MODEL_TYPES, readConfig } from '../../src/model/config.ts';
import { checkSequence, encoderGraph } from '../../src/model/index.ts';
import { drawnConfig, picker } from '../../tests/drawn-configs.ts';
import { check } from '../harness.ts';
import { checkAgainstInterpreter, gradientsOnDevice } from '../training-gradients.ts';

/**
 * The gradients of every family in shapes that nobody trains, with random weights: what this device computes against the float64
 * interpreter, whose gradients are differences of its losses (tests/gradients.test.ts).
 */

/** Families that are not trained: some op of theirs has no gradient. */
const REFUSED = ['deberta', 'deberta-v2'];

const LENGTHS = [1, 40, 7, 65];

/** Of the family whose kernels no other has, more shapes: windows of 1, 3 and 9 neighbours, one head and several. */
const DRAWS: Readonly<Record<string, readonly number[]>> = { convbert: [1, 2, 3, 4] };

const shapes = MODEL_TYPES.filter(type => !REFUSED.includes(type)).flatMap(modelType =>
  (DRAWS[modelType] ?? [1]).map(draw => ({ modelType, draw })),
);

for (const { modelType, draw } of shapes) {
  check(`${modelType}, drawn shape ${draw}: every gradient`, async log => {
    const raw = drawnConfig(modelType, draw);
    log(JSON.stringify(raw));
    const config = readConfig(raw);
    const pick = picker('tokens');
    const request = { pool: { pooling: 'mean', normalize: true } } as const;
    const graph = backward(trainableForm(encoderGraph(config, request), NO_DROPOUT), {
      losses: [{ kind: 'squaredError', output: 'embedding' }],
      trainable: () => true,
    });
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    const batch = LENGTHS.map((length): LabelledSequence => {
      const ids = Array.from({ length }, () => pick(3, config.vocabSize - 1));
      const types = ids.map(() => pick(0, Math.max(0, config.typeVocabSize - 1)));
      const labels = Array.from({ length: columns }, () => pick(-10, 10) / 10);
      return { ...checkSequence(config, { ids, types }), labels };
    });
    const run = { graph, batch, scales: { labels: 1, next_sentence_label: 0 } };
    const found = await gradientsOnDevice(run);
    const worst = checkAgainstInterpreter(run, found);
    log(`${found.gradients.size} tensors, largest difference ${worst.toExponential(1)}`);
  });
}
