import { describe, expect, it } from 'vitest';
import { FAMILIES } from '../src/model/families/index.ts';
import { slopesOf } from '../src/model/families/jina-bert.ts';
import { checkSequence, readConfig } from '../src/model/index.ts';
import { builder } from '../src/plan/builder.ts';
import { packBatch } from '../src/plan/index.ts';

const SIZES = {
  vocab_size: 33,
  hidden_size: 24,
  num_attention_heads: 3,
  num_hidden_layers: 2,
  intermediate_size: 48,
  max_position_embeddings: 40,
};

describe('ESM', () => {
  const ESM = { ...SIZES, model_type: 'esm', position_embedding_type: 'rotary', mask_token_id: 32, pad_token_id: 1 };

  it('refuses other positions, and folding models', () => {
    expect(() => readConfig({ ...ESM, position_embedding_type: 'relative_key' })).toThrow(/"position_embedding_type"/);
    expect(() => readConfig({ ...ESM, is_folding_model: true })).toThrow(/"is_folding_model"/);
  });

  it('counts positions from 0 where they are rotary, else behind the padding', () => {
    expect(readConfig(ESM)).toMatchObject({ maxPositions: 40, positionOffset: 0, hasPositionTable: false });
    const absolute = readConfig({ ...ESM, position_embedding_type: 'absolute' });
    expect(absolute).toMatchObject({ maxPositions: 38, positionOffset: 2, hasPositionTable: true });
  });

  it('scales the words of each sequence by its own masks', () => {
    const config = readConfig({ ...ESM, token_dropout: true });
    const { wordFactors } = checkSequence(config, { ids: [0, 32, 5, 32, 7, 2, 9, 2] });
    expect(wordFactors).toEqual([0, 32, 5, 32, 7, 2, 9, 2].map(id => (id === 32 ? 0 : 0.88 / 0.75)));
    const other = checkSequence(config, { ids: [0, 5, 2] });
    expect(other.wordFactors).toEqual([0.88, 0.88, 0.88]);
    const { tokens } = packBatch([other], 4);
    expect(new Float32Array(tokens.buffer)[2]).toBeCloseTo(0.88, 6);
    expect(checkSequence(readConfig(ESM), { ids: [0, 32, 2] }).wordFactors).toBeUndefined();
  });

  it('has no room for types beside the factors', () => {
    const embed = () =>
      builder().embed({
        words: { table: 'words', rows: 5 },
        types: { table: 'types', rows: 2 },
        dropout: { token: 1, share: 0.12 },
        columns: 8,
      });
    expect(embed).toThrow(/factors of words beside types/);
  });
});

describe('DPR', () => {
  const DPR = { ...SIZES, model_type: 'dpr' };

  it('has the first token for a pooler, or its projection', () => {
    expect(readConfig(DPR)).toMatchObject({ hasPoolerDense: false, poolerSize: 24 });
    expect(readConfig({ ...DPR, projection_dim: 7 })).toMatchObject({ hasPoolerDense: true, poolerSize: 7 });
  });

  it('refuses the reader', () => {
    expect(() => readConfig({ ...DPR, architectures: ['DPRReader'] })).toThrow(/the reader of DPR/);
  });
});

describe('JinaBERT v2', () => {
  const JINA = { ...SIZES, model_type: 'jina_bert', position_embedding_type: 'alibi', feed_forward_type: 'geglu' };

  it('refuses tables of positions, and layers without a gate', () => {
    expect(() => readConfig({ ...JINA, position_embedding_type: 'absolute' })).toThrow(/"position_embedding_type"/);
    expect(() => readConfig({ ...JINA, feed_forward_type: 'original' })).toThrow(/"feed_forward_type"/);
    expect(readConfig({ ...JINA, feed_forward_type: 'reglu' })).toMatchObject({ activation: 'relu', isGated: true });
  });

  it('has the slopes of ALiBi', () => {
    expect(slopesOf(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map(h => 2 ** -h));
    // Eight of a power of two, and the first, third, fifth and seventh of sixteen.
    const twelve = [...slopesOf(8), ...[1, 3, 5, 7].map(h => 2 ** (-h / 2))];
    expect(slopesOf(12)).toEqual(twelve);
  });

  it('is told by its tensors whether queries and keys are normalised', () => {
    const byTensors = FAMILIES.jina_bert!.byTensors!;
    expect(byTensors(['encoder.layer.0.mlp.gated_layers.weight'])).toEqual({});
    const code = byTensors(['bert.encoder.layer.0.attention.self.layer_norm_q.weight']);
    expect(code).toEqual({ queryKeyNorm: 'row', hasSecondAttentionNorm: true });
  });
});

describe('NeoBERT', () => {
  const { max_position_embeddings: max_length, ...rest } = SIZES;
  const NEOBERT = { ...rest, max_length, model_type: 'neobert', intermediate_size: 3072 };

  it('has two thirds of intermediate_size, in eights', () => {
    expect(readConfig(NEOBERT)).toMatchObject({ intermediateSize: 2048, maxPositions: 40, tiedDecoder: false });
    expect(readConfig({ ...NEOBERT, intermediate_size: 34, hidden_act: 'SwiGLU' }).intermediateSize).toBe(24);
  });

  it('refuses variants that no published model has', () => {
    expect(() => readConfig({ ...NEOBERT, ngpt: true })).toThrow(/"ngpt"/);
    expect(() => readConfig({ ...NEOBERT, hidden_act: 'gelu' })).toThrow(/"hidden_act"/);
  });
});

describe('RoFormer and RemBERT', () => {
  it('read their summary and their sizes', () => {
    const roformer = readConfig({ ...SIZES, model_type: 'roformer' });
    expect(roformer.embeddingSize).toBe(24);
    expect(roformer.summary!()).toMatchObject({ pooling: 'last', dense: false });
    // What choices are scored by keeps no model from being read.
    const choosing = (more: object) => readConfig({ ...SIZES, model_type: 'roformer', ...more }).summary!;
    expect(choosing({ summary_type: 'attn' })).toThrow(/"summary_type"/);
    // Python applies an activation without a dense layer; no checkpoint has one.
    expect(choosing({ summary_activation: 'tanh' })).toThrow(/"summary_activation".*without a dense layer/);
    const electra = readConfig({ ...SIZES, model_type: 'electra', embedding_size: 24, summary_activation: null });
    expect(electra.summary!()).toMatchObject({ dense: true, activation: undefined });
    const sizes = { input_embedding_size: 6, output_embedding_size: 10, tie_word_embeddings: true };
    const rembert = readConfig({ ...SIZES, model_type: 'rembert', ...sizes });
    expect(rembert).toMatchObject({ embeddingSize: 6, decoderSize: 10, projectsEmbedding: true, tiedDecoder: false });
  });
});

describe('what Python does not read', () => {
  it('layer_norm_eps, for DistilBERT', () => {
    const { layers, heads, hidden } = { layers: 2, heads: 3, hidden: 24 };
    const sizes = { dim: hidden, n_heads: heads, n_layers: layers, hidden_dim: 20, vocab_size: 30 };
    const config = { ...sizes, max_position_embeddings: 30, model_type: 'distilbert', layer_norm_eps: 0.1 };
    expect(readConfig(config).norm.eps).toBe(1e-12);
  });

  it('relative_attention_num_buckets, for MPNet, but as the rows of a table', () => {
    const mpnet = { ...SIZES, model_type: 'mpnet', pad_token_id: 1 };
    expect(readConfig({ ...mpnet, relative_attention_num_buckets: 64 }).relativeRows).toBe(64);
    expect(() => readConfig({ ...mpnet, relative_attention_num_buckets: 16 })).toThrow(
      /relative_attention_num_buckets/,
    );
  });
});
