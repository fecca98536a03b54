import { describe, expect, it } from 'vitest';
import { encoderGraph, readConfig } from '../src/model/index.ts';
import type { Op } from '../src/plan/op.ts';

const CONVBERT = {
  model_type: 'convbert',
  vocab_size: 100,
  hidden_size: 48,
  num_attention_heads: 4,
  num_hidden_layers: 1,
  intermediate_size: 96,
  max_position_embeddings: 40,
  embedding_size: 16,
};

const config = (more: object) => () => readConfig({ ...CONVBERT, ...more });
const opsOf = (more: object): readonly Op[] => encoderGraph(config(more)(), { lastHiddenState: true }).ops;

describe('ConvBERT', () => {
  it('has the defaults of the config class of transformers', () => {
    expect(readConfig({ model_type: 'convbert' })).toMatchObject({
      vocabSize: 30522,
      hiddenSize: 768,
      embeddingSize: 768,
      projectsEmbedding: false,
      layers: 12,
      heads: 6,
      headSize: 64,
      intermediateSize: 3072,
      activation: 'gelu',
      norm: { eps: 1e-12 },
      spanConvolution: { width: 9 },
      groupMatrices: undefined,
    });
  });

  it('has one head where head_ratio is larger than the heads', () => {
    expect(config({ head_ratio: 7 })()).toMatchObject({ heads: 1, keyHeads: 1, headSize: 24 });
    expect(config({ head_ratio: 1 })()).toMatchObject({ heads: 4, keyHeads: 4, headSize: 6 });
  });

  it('refuses by name what Python fails with', () => {
    expect(config({ conv_kernel_size: 4 })).toThrow(/conv_kernel_size.*odd/s);
    expect(config({ conv_kernel_size: 0 })).toThrow(/conv_kernel_size/);
    expect(config({ num_groups: 5 })).toThrow(/num_groups.*divisor of 48 and of 96/s);
    expect(config({ head_ratio: 0 })).toThrow(/head_ratio/);
    expect(config({ num_attention_heads: 10, head_ratio: 2 })).toThrow(/num_attention_heads/);
    expect(config({ is_decoder: true })).toThrow(/is_decoder/);
  });

  it('reads the linears of the feed-forward layer as a matrix for each group', () => {
    const shapes = opsOf({ num_groups: 3 }).flatMap(op =>
      op.op === 'linear' && /intermediate|layer.0.output/.test(op.y.name) ? [op.weight.parts[0]!.shape] : [],
    );
    expect(shapes).toEqual([
      [3, 16, 32],
      [3, 32, 16],
    ]);
  });
});
