import { backward, type LabelledSequence, NO_DROPOUT, trainableForm } from '../../src/gradients/index.ts';
import { MODEL_TYPES, readConfig } from '../../src/model/config.ts';
import { checkSequence, encoderGraph, preparationsOf } from '../../src/model/index.ts';
import { DEBERTA_KINDS, debertaConfig, drawnConfig, picker } from '../../tests/drawn-configs.ts';
import { check } from '../harness.ts';
import { checkAgainstInterpreter, checkMicroBatches, gradientsOnDevice } from '../training-gradients.ts';

/**
 * The gradients of every family in shapes that nobody trains, with random weights: what this device computes against the float64
 * interpreter, whose gradients are differences of its losses (tests/gradients.test.ts).
 */

const LENGTHS = [1, 40, 7, 65];

/** Of the family whose kernels no other has, more shapes: windows of 1, 3 and 9 neighbours, one head and several. */
const DRAWS: Readonly<Record<string, readonly number[]>> = { convbert: [1, 2, 3, 4] };

const shapes = [
  ...MODEL_TYPES.flatMap(modelType =>
    (DRAWS[modelType] ?? [1]).map(draw => ({
      name: `${modelType}, drawn shape ${draw}`,
      raw: drawnConfig(modelType, draw),
    })),
  ),
  ...Object.keys(DEBERTA_KINDS).map(kind => ({ name: kind, raw: debertaConfig(kind, 3) })),
];

for (const { name, raw } of shapes) {
  check(`${name}: every gradient`, async log => {
    log(JSON.stringify(raw));
    const config = readConfig(raw);
    const pick = picker('tokens');
    const request = { pool: { pooling: 'mean', normalize: true } } as const;
    const graph = backward(
      trainableForm(encoderGraph(config, request), NO_DROPOUT, undefined, preparationsOf(config)),
      {
        losses: [{ kind: 'squaredError', output: 'embedding' }],
        trainable: () => true,
      },
    );
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
    for (const microBatch of [2, 1]) {
      const parts = await gradientsOnDevice({ ...run, microBatch });
      log(`in micro-batches of ${microBatch}: ${checkMicroBatches(parts, found).toExponential(1)}`);
    }
  });
}
