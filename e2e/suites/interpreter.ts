import { readConfig } from '../../src/model/config.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import type { EncoderRequest } from '../../src/model/request.ts';
import type { Graph, Op } from '../../src/plan/op.ts';
import type { Sequence } from '../../src/plan/sequence.ts';
import { describeDifference, firstDifference, withEveryValue } from '../../tests/bisect.ts';
import { OP_CASES } from '../../tests/op-cases.ts';
import { graphOnDevice } from '../graph-on-device.ts';
import { check, expect, type Log } from '../harness.ts';

/**
 * Every value of a forward pass, as this device computes it, against the interpreter's: op by op, each on the device's own operands. A
 * wrong kernel is named, whatever the later ones make of its numbers.
 */

/** Of one op in float32, relative to 1 + |x|: a sum of some hundred products of the order of 1. */
const TOLERANCE = 1e-5;

const VOCABULARY = 301;
const sequence = (length: number, seed: number): Sequence => ({
  ids: Array.from({ length }, (_, i) => (7 * i + seed) % VOCABULARY),
  positions: Array.from({ length }, (_, i) => i),
  types: Array.from({ length }, (_, i) => i % 2),
  masked: Array.from({ length: Math.ceil(length / 3) }, (_, i) => 3 * i),
});
const BATCH: readonly Sequence[] = [sequence(1, 3), sequence(65, 5), sequence(7, 11)];

/** The values of a graph by name, from a pass of random weights on this device, and these weights. */
async function valuesOnDevice(graph: Graph, maxBindingBytes?: number, batch = BATCH) {
  const onDevice = await graphOnDevice(withEveryValue(graph), maxBindingBytes);
  const values = await onDevice.run(batch);
  onDevice.destroy();
  return { values, tensorOf: onDevice.tensorOf };
}

/** The heads of 5 columns are padded, and so is every row. */
const SHAPE = {
  vocab_size: VOCABULARY,
  hidden_size: 35,
  num_hidden_layers: 2,
  num_attention_heads: 7,
  intermediate_size: 70,
  max_position_embeddings: 80,
  type_vocab_size: 2,
  embedding_size: 18,
  // DeBERTa's: distances beyond the last come up.
  relative_attention: true,
  pos_att_type: 'c2p|p2c',
  position_buckets: 16,
  max_relative_positions: 30,
  conv_kernel_size: 3,
};
const CASES: readonly [modelType: string, request: EncoderRequest, maxBindingBytes?: number][] = [
  ['bert', { pooler: true, attentions: [1], head: { kind: 'MaskedLM' } }],
  ['bert', { head: { kind: 'MaskedLM' } }, 1 << 14],
  [
    'mpnet',
    {
      pool: {
        pooling: ['mean', 'max', 'weighted'],
        normalize: true,
        tokenSteps: [
          { step: 'normalize' },
          { step: 'dense', from: 'sentence.1', outputs: 35, bias: false, activation: 'relu', residual: 'identity' },
        ],
        rowSteps: [
          { step: 'dense', from: 'sentence.3', outputs: 9, bias: true, activation: 'tanh', residual: 'projected' },
          { step: 'layerNorm', from: 'sentence.4' },
          { step: 'dense', from: 'sentence.5', outputs: 6, bias: true, activation: undefined, residual: 'none' },
        ],
      },
    },
  ],
  [
    'modernbert',
    {
      pool: {
        pooling: 'mean',
        normalize: false,
        tokenSteps: [{ step: 'weightedLayers', from: 'sentence.1', first: 1 }],
      },
    },
  ],
  ['albert', { head: { kind: 'MaskedLM', picked: true } }],
  ['electra', { head: { kind: 'SequenceClassification' } }],
  ['deberta', { attentions: [1], head: { kind: 'SequenceClassification' } }],
  ['deberta-v2', { attentions: [0], head: { kind: 'TokenClassification' } }],
];

/** Holds every op of a graph on this device against the interpreter, and notes how near they are. */
async function checkOps(log: Log, graph: Graph, batch: readonly Sequence[], maxBindingBytes?: number): Promise<void> {
  const { values, tensorOf } = await valuesOnDevice(graph, maxBindingBytes, batch);
  const differenceBeyond = (tolerance: number) => {
    const difference = firstDifference(graph, tensorOf, batch, { actual: values, tolerance });
    return difference && describeDifference(difference);
  };
  const difference = differenceBeyond(TOLERANCE);
  expect(!difference, difference ?? '');
  log(`${values.size} values; first beyond 1e-9: ${differenceBeyond(1e-9) ?? 'none'}`);
}

for (const [model_type, request, maxBindingBytes] of CASES) {
  const graph = encoderGraph(readConfig({ model_type, ...SHAPE }), request);
  const kinds = [...new Set(graph.ops.map(({ op }) => op))].join(', ');
  const slices = maxBindingBytes ? ` in bindings of ${maxBindingBytes} bytes` : '';
  check(`every op of ${model_type} (${kinds})${slices}`, log => checkOps(log, graph, BATCH, maxBindingBytes));
}

for (const { kind, name, graph, batch, maxBindingBytes } of OP_CASES) {
  check(`${kind}: ${name}`, log => checkOps(log, graph, batch, maxBindingBytes));
}

check('an op that the device computes otherwise is named', async log => {
  const graph = encoderGraph(readConfig({ model_type: 'bert', ...SHAPE }), { lastHiddenState: true });
  const place = graph.ops.findLastIndex(({ op }) => op === 'attention');
  const mistaken = graph.ops.map((op, i) => (i === place ? ({ ...op, scale: 0.4 } as Op) : op));
  const { values, tensorOf } = await valuesOnDevice({ ...graph, ops: mistaken });
  const difference = firstDifference(graph, tensorOf, BATCH, { actual: values, tolerance: TOLERANCE });
  const words = difference ? describeDifference(difference) : 'no difference';
  expect(words.startsWith('attention encoder.layer.1.attention.self.context: '), words);
  log(words);
});
