import { MODEL_TYPES, readConfig } from '../../src/model/config.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import { checkSequence } from '../../src/model/input.ts';
import type { EncoderRequest } from '../../src/model/request.ts';
import type { Graph } from '../../src/plan/op.ts';
import type { Sequence } from '../../src/plan/sequence.ts';
import { drawnConfig, picker } from '../../tests/drawn-configs.ts';
import { interpret } from '../../tests/interpreter.ts';
import { graphOnDevice } from '../graph-on-device.ts';
import { check, expect } from '../harness.ts';

/**
 * Every family in shapes that nobody trains, with random weights: what this device computes against the float64 interpreter, and every
 * sequence alone, first and last in a batch, with the same bits.
 */

/** Relative to 1 + |x|, of a whole model in float32. Scores of deberta have three terms, and Gemma's rows grow with every layer. */
const TOLERANCE = 1e-4;
const TOLERANCES: Readonly<Record<string, number>> = { deberta: 2e-4, 'deberta-v2': 2e-4, gemma3_text: 2e-4 };

const DRAWS = 2;
const LENGTHS = [1, 40, 7, 65];

const REQUESTS: readonly EncoderRequest[] = [
  { lastHiddenState: true, pool: { pooling: 'mean', normalize: true } },
  { pool: { pooling: 'cls', normalize: false }, attentions: [0], hiddenStates: [0, 1] },
];

/** The same graph with a name of its own for every output. */
const withNames = ({ ops, outputs }: Graph): Graph => ({
  ops,
  outputs: outputs.map(({ name, layer, value }) => {
    return { name: layer === undefined ? name : `${name}.${layer}`, layer: undefined, value };
  }),
});

for (const modelType of MODEL_TYPES) {
  for (let i = 0; i < DRAWS; i++) {
    check(`${modelType}, drawn shape ${i + 1}`, async log => {
      const raw = drawnConfig(modelType, i + 1);
      log(JSON.stringify(raw));
      const config = readConfig(raw);
      const pick = picker(`tokens ${i}`);
      const batch = LENGTHS.map((length): Sequence => {
        const ids = Array.from({ length }, () => pick(3, config.vocabSize - 1));
        return checkSequence(config, { ids, types: ids.map(() => pick(0, Math.max(0, config.typeVocabSize - 1))) });
      });
      const graph = withNames(encoderGraph(config, REQUESTS[i % REQUESTS.length]!));
      const device = await graphOnDevice(graph);
      const whole = await device.run(batch);
      const { outputs } = interpret(graph, device.tensorOf, batch);
      let worst = 0;
      for (const [name, { data }] of outputs) {
        const actual = whole.get(name)!;
        expect(actual.length === data.length, `${name} has ${actual.length} numbers, not ${data.length}`);
        data.forEach((expected, at) => {
          const difference = Math.abs(actual[at]! - expected) / (1 + Math.abs(expected));
          worst = Number.isNaN(difference) ? Number.NaN : Math.max(worst, difference);
        });
      }
      expect(worst <= (TOLERANCES[modelType] ?? TOLERANCE), `a difference of ${worst}`);
      const embeddings = whole.get('embedding')!;
      const columns = embeddings.length / batch.length;
      const rowOf = (results: Map<string, Float64Array>, b: number) =>
        results.get('embedding')!.subarray(b * columns, (b + 1) * columns);
      const backwards = await device.run(batch.toReversed());
      for (const [b, sequence] of batch.entries()) {
        const row = String(rowOf(whole, b));
        expect(String(rowOf(backwards, batch.length - 1 - b)) === row, `sequence ${b} depends on its place`);
        expect(String(rowOf(await device.run([sequence]), 0)) === row, `sequence ${b} depends on its neighbours`);
      }
      device.destroy();
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }
}
