import { describe, expect, it } from 'vitest';
import { LOWEST_SCORE, padPairs } from '../src/api/outputs.ts';
import { tensorFinder } from '../src/checkpoint/file/index.ts';
import { encoderGraph, type HeadKind, readConfig } from '../src/model/index.ts';
import type { Op } from '../src/plan/op.ts';
import { numbersOf } from '../src/plan/part-layout.ts';
import { plan } from '../src/plan/plan.ts';
import { weightBytes } from '../src/plan/weight.ts';
import { GPU } from './caps.ts';

const SIZES = {
  vocab_size: 2000,
  hidden_size: 48,
  num_attention_heads: 3,
  num_hidden_layers: 1,
  intermediate_size: 96,
  max_position_embeddings: 40,
};

const opsOf = (raw: object, kind?: HeadKind): readonly Op[] =>
  encoderGraph(readConfig(raw), kind ? { head: { kind } } : { lastHiddenState: true }).ops;

/** The tensors of every linear, in the order of the ops. */
const linearsOf = (ops: readonly Op[]): string[] => ops.flatMap(op => (op.op === 'linear' ? [op.weight.name] : []));

const tensor = (name: string) => ({ name, dtype: 'F32', shape: [1], byteOffset: 0, byteLength: 4, file: 'f' });

describe('MobileBERT', () => {
  const MOBILE = { ...SIZES, model_type: 'mobilebert', embedding_size: 16, intra_bottleneck_size: 24 };

  it('has the defaults of the config class of transformers', () => {
    expect(readConfig({ model_type: 'mobilebert' })).toMatchObject({
      vocabSize: 30522,
      hiddenSize: 512,
      embeddingSize: 128,
      layers: 24,
      heads: 4,
      headSize: 32,
      layerSize: 128,
      activation: 'relu',
      norm: { kind: 'affine' },
      bottleneck: { isNarrow: true, queries: 'attention', values: 'hidden', feedForwards: 4 },
      hasTrigrams: true,
      decoderSize: 512,
      hasPoolerDense: true,
    });
  });

  it('computes q and k, and v, from what Python computes them from', () => {
    const sources = (more: object) => readConfig({ ...MOBILE, ...more }).bottleneck;
    expect(sources({})).toMatchObject({ queries: 'attention', values: 'hidden' });
    expect(sources({ use_bottleneck_attention: true })).toMatchObject({ queries: 'input', values: 'input' });
    const wide = { key_query_shared_bottleneck: false, intra_bottleneck_size: 48 };
    expect(sources(wide)).toMatchObject({ queries: 'hidden', values: 'hidden' });
    expect(sources({ use_bottleneck: false })).toMatchObject({ isNarrow: false, queries: 'hidden', values: 'hidden' });
    // The bottleneck of the attention is in the file, and is not computed.
    expect(linearsOf(opsOf({ ...MOBILE, use_bottleneck_attention: true })).join()).not.toContain(
      'bottleneck.attention',
    );
  });

  it('refuses by name what Python refuses, or fails with in its first pass', () => {
    const config = (more: object) => () => readConfig({ ...MOBILE, ...more });
    expect(config({ normalization_type: 'rms_norm' })).toThrow(/"normalization_type"/);
    expect(config({ key_query_shared_bottleneck: false })).toThrow(/key_query_shared_bottleneck/);
    expect(config({ num_attention_heads: 5 })).toThrow(/num_attention_heads.*divisor of 24/s);
    expect(config({ true_hidden_size: 48 })).toThrow(/"true_hidden_size"/);
    expect(config({ true_hidden_size: 24 })).not.toThrow();
    expect(config({ num_feedforward_networks: 0 })).toThrow(/num_feedforward_networks/);
    expect(() => opsOf({ ...MOBILE, embedding_size: 50 }, 'MaskedLM')).toThrow(/embedding_size.*hidden_size/s);
    expect(() => opsOf({ ...MOBILE, embedding_size: 50 })).not.toThrow();
  });

  it('has torch.nn.LayerNorm without an eps behind its embeddings and its last feed-forward layer', () => {
    const raw = { ...MOBILE, normalization_type: 'layer_norm', layer_norm_eps: 1e-3, num_feedforward_networks: 2 };
    const norms = opsOf(raw, 'MaskedLM').flatMap(op => (op.op === 'norm' ? [[op.y.name, op.norm.eps] as const] : []));
    expect(norms).toEqual([
      ['embeddings.LayerNorm', 1e-5],
      ['encoder.layer.0.bottleneck.input.LayerNorm', 1e-3],
      ['encoder.layer.0.bottleneck.attention.LayerNorm', 1e-3],
      ['encoder.layer.0.attention.output.LayerNorm', 1e-3],
      ['encoder.layer.0.ffn.0.output.LayerNorm', 1e-3],
      ['encoder.layer.0.output.LayerNorm', 1e-5],
      ['encoder.layer.0.output.bottleneck.LayerNorm', 1e-3],
      ['cls.predictions.transform.LayerNorm', 1e-3],
    ]);
  });

  it('finds its tensors in a file of the hub, tied or not', () => {
    const names = [
      'mobilebert.embeddings.word_embeddings.weight',
      'mobilebert.embeddings.embedding_transformation.weight',
      'mobilebert.encoder.layer.0.attention.self.query.weight',
      'mobilebert.encoder.layer.0.ffn.2.output.LayerNorm.weight',
      'cls.predictions.dense.weight',
      'cls.predictions.decoder.weight',
      'cls.predictions.bias',
    ];
    const tensors = new Map(names.map(name => [name, tensor(name)]));
    for (const tie_word_embeddings of [true, false]) {
      const raw = { ...MOBILE, tie_word_embeddings };
      const find = tensorFinder({ tensors, leftOut: new Map() }, readConfig(raw));
      const decoder = opsOf(raw, 'MaskedLM').flatMap(op =>
        op.op === 'linear' && op.y.name === 'vocabulary' ? op.weight.parts : [],
      );
      expect(decoder.map(part => find(part.tensor)?.name)).toEqual([
        tie_word_embeddings ? names[0] : 'cls.predictions.decoder.weight',
        'cls.predictions.dense.weight',
      ]);
      expect(decoder.map(({ shape }) => shape)).toEqual([
        [2000, 16],
        [32, 2000],
      ]);
      expect(find('embeddings_project.weight')?.name).toBe(names[1]);
      expect(find('encoder.layer.0.ffn.2.output.LayerNorm.weight')?.name).toBe(names[3]);
    }
  });

  it('has a decoder in slices whose float32 rows a binding holds, whatever they are kept in', () => {
    const graph = encoderGraph(readConfig(MOBILE), { head: { kind: 'MaskedLM' } });
    const maxBindingBytes = 40_000;
    for (const format of ['f32', 'f16', 'i8'] as const) {
      const { weights } = plan(graph, { caps: { ...GPU, maxBindingBytes }, format });
      const slices = weights.filter(({ name }) => name.includes('cls.predictions.dense'));
      expect(slices.length).toBeGreaterThan(1);
      let next = 0;
      for (const slice of slices) {
        expect(slice.first).toBe(next);
        expect(slice.count * slice.stride * 4).toBeLessThanOrEqual(maxBindingBytes);
        expect(weightBytes(slice)).toBeLessThanOrEqual(maxBindingBytes);
        // Of the tensor that stands the other way every slice is given all numbers.
        expect(slice.parts.map(part => numbersOf(slice, part).count)).toEqual([16 * slice.count, 32 * 2000]);
        next += slice.count;
      }
      expect(next).toBe(2000);
    }
  });
});

describe('SqueezeBERT', () => {
  const SQUEEZE = { ...SIZES, model_type: 'squeezebert', embedding_size: 48 };

  it('has the defaults of the config class of transformers', () => {
    expect(readConfig({ model_type: 'squeezebert' })).toMatchObject({
      hiddenSize: 768,
      layers: 12,
      intermediateSize: 3072,
      groups: { query: 4, key: 4, value: 4, attention: 1, intermediate: 4, output: 4 },
      attentionsAreScores: true,
    });
  });

  it('refuses embeddings of another size, and groups that do not divide what they group', () => {
    const config = (more: object) => () => readConfig({ ...SQUEEZE, ...more });
    expect(config({ embedding_size: 24 })).toThrow(/embedding_size.*hidden_size, which is 48/s);
    expect(config({ embedding_size: undefined })).toThrow(/embedding_size/);
    for (const name of ['q_groups', 'k_groups', 'v_groups', 'post_attention_groups']) {
      expect(config({ [name]: 5 }), name).toThrow(new RegExp(`${name}.*a divisor of 48`, 's'));
      expect(config({ [name]: 16 }), name).not.toThrow();
    }
    for (const name of ['intermediate_groups', 'output_groups']) {
      expect(config({ [name]: 32 }), name).toThrow(new RegExp(`${name}.*a divisor of`, 's'));
    }
  });

  it('asks for convolutions over single tokens, with the names of its file', () => {
    const { weights } = plan(encoderGraph(readConfig(SQUEEZE), { lastHiddenState: true }), { caps: GPU });
    const shapes = new Map(weights.flatMap(({ parts }) => parts.map(({ tensor, shape }) => [tensor, shape] as const)));
    expect(shapes.get('encoder.layer.0.attention.self.key.weight')).toEqual([48, 12, 1]);
    expect(shapes.get('encoder.layer.0.attention.output.dense.weight')).toEqual([48, 48, 1]);
    expect(shapes.get('encoder.layer.0.output.dense.weight')).toEqual([48, 24, 1]);
    const names = [
      'transformer.embeddings.LayerNorm.weight',
      'transformer.encoder.layers.0.attention.query.weight',
      'transformer.encoder.layers.0.post_attention.conv1d.weight',
      'transformer.encoder.layers.0.post_attention.layernorm.weight',
      'transformer.encoder.layers.0.intermediate.conv1d.weight',
      'transformer.encoder.layers.0.output.conv1d.weight',
      'transformer.encoder.layers.0.output.layernorm.weight',
    ];
    const tensors = new Map(names.map(name => [name, tensor(name)]));
    const find = tensorFinder({ tensors, leftOut: new Map() }, readConfig(SQUEEZE));
    const layer = 'encoder.layer.0';
    const canonical = [
      'embeddings.LayerNorm',
      `${layer}.attention.self.query`,
      `${layer}.attention.output.dense`,
      `${layer}.attention.output.LayerNorm`,
      `${layer}.intermediate.dense`,
      `${layer}.output.dense`,
      `${layer}.output.LayerNorm`,
    ];
    expect(canonical.map(name => find(`${name}.weight`)?.name)).toEqual(names);
  });

  it("gives a pair with padding Python's score of what is not seen", () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const outputs = [[{ name: 'attentions', layer: 0, first: 0, columns: 1, data }]];
    const rows = [{ ids: [5, 6], places: [0, 2] }];
    const padded = padPairs(outputs, { name: 'attentions', layer: 0, rows, width: 3 }, LOWEST_SCORE);
    const low = -3.4028234663852886e38;
    expect([...padded.data]).toEqual([1, low, 2, low, low, low, 3, low, 4]);
  });
});
