import { describe, expect, it } from 'vitest';
import { type EncoderRequest, encoderGraph, MODEL_TYPES, preparationsOf, readConfig } from '../src/model/index.ts';
import { type Graph, plan } from '../src/plan/index.ts';
import { GPU } from './caps.ts';
import { drawnConfig } from './drawn-configs.ts';
import { argumentWords, OP_CASES, OP_KINDS } from './op-cases.ts';

const HEADS = [
  'MaskedLM',
  'PreTraining',
  'NextSentencePrediction',
  'SequenceClassification',
  'MultipleChoice',
  'TokenClassification',
  'QuestionAnswering',
] as const;

const REQUESTS: readonly EncoderRequest[] = [
  ...HEADS.map((kind): EncoderRequest => ({ head: { kind }, attentions: [0], hiddenStates: [0] })),
  { head: { kind: 'MaskedLM', picked: true, topK: 4 } },
  ...([1, 2] as const).map((logarithms): EncoderRequest => {
    return { head: { kind: 'MaskedLM', sparse: { pooling: 'max', logarithms } } };
  }),
  { head: { kind: 'MaskedLM', sparse: { pooling: 'sum', logarithms: 1 } } },
  { pool: { pooling: ['mean', 'max', 'mean_sqrt', 'weighted', 'last', 'cls'], normalize: true } },
  {
    pool: {
      pooling: 'mean',
      normalize: false,
      tokenSteps: [{ step: 'weightedLayers', from: 'layers', first: 0 }, { step: 'normalize' }],
      rowSteps: [{ step: 'layerNorm', from: 'norm' }, { step: 'normalize' }],
    },
  },
];

/** The graphs of a family in many shapes, with every head that it has and its configuration allows. */
function* graphsOf(modelType: string): Iterable<Graph> {
  for (let draw = 1; draw <= 12; draw++) {
    const config = readConfig(drawnConfig(modelType, draw));
    for (const { graph } of preparationsOf(config)) yield graph;
    for (const request of REQUESTS) {
      if (request.head && !config.headKinds[request.head.kind]) continue;
      try {
        yield encoderGraph(config, request);
      } catch (error) {
        // MobileBERT's masked-LM head takes no embeddings that are wider than its hidden states.
        if (!(error instanceof Error && error.name === 'CheckpointError')) throw error;
      }
    }
  }
}

describe('the cases that a device is held against the interpreter with', () => {
  it.each(OP_KINDS)('have an op %s in the graph of each of its cases, which a device can compute', kind => {
    const own = OP_CASES.filter(one => one.kind === kind);
    expect(own).not.toEqual([]);
    for (const { name, graph } of own) {
      expect(graph.ops.map(({ op }) => op)).toContain(kind);
      expect(plan(graph, { caps: GPU, format: 'f32' }).steps.length, name).toBeGreaterThan(0);
    }
  });

  const tried = new Set(
    OP_CASES.flatMap(({ kind, graph }) =>
      graph.ops.filter(({ op }) => op === kind).flatMap(op => argumentWords(op).map(word => `${op.op}: ${word}`)),
    ),
  );

  it.each(MODEL_TYPES)('have every argument that %s gives to an op', modelType => {
    const missing = new Set<string>();
    for (const graph of graphsOf(modelType)) {
      for (const op of graph.ops) {
        for (const word of argumentWords(op)) if (!tried.has(`${op.op}: ${word}`)) missing.add(`${op.op}: ${word}`);
      }
    }
    expect([...missing]).toEqual([]);
  });
});
