import { describe, expect, it } from 'vitest';
import { UnsupportedError } from '../src/errors.ts';
import { readConfig } from '../src/model/config.ts';
import { checkSequence } from '../src/model/input.ts';

const SIZES = {
  vocab_size: 40,
  hidden_size: 48,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 64,
};
const NOMIC_HUB = {
  model_type: 'nomic_bert',
  vocab_size: 40,
  n_embd: 48,
  n_layer: 2,
  n_head: 3,
  n_inner: 100,
  n_positions: 64,
  activation_function: 'swiglu',
  qkv_proj_bias: false,
  mlp_fc1_bias: false,
  mlp_fc2_bias: false,
  rotary_emb_base: 1000,
  rotary_emb_fraction: 1,
};
const GEMMA = {
  ...SIZES,
  model_type: 'gemma3_text',
  head_dim: 16,
  num_key_value_heads: 1,
  use_bidirectional_attention: true,
};

const config = (modelType: string, fields: object = {}) => readConfig({ ...SIZES, model_type: modelType, ...fields });
const rotary = (modelType: string, fields: object = {}) => config(modelType, fields).attentions[0]!.rotary!;
function thrown(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  // Python computed them in float32.
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! / value - 1)).toBeLessThan(2e-6);
}

describe('rotary frequencies', () => {
  // Made by transformers 5.24: ROPE_INIT_FUNCTIONS of modeling_rope_utils.py, heads of 16.
  const PYTHON = {
    default: [1.0, 0.459863275, 0.21147424, 0.0972492471, 0.0447213612, 0.0205657128, 0.0094574159, 0.00434911856],
    linear: [
      0.333333343, 0.153287753, 0.0704914108, 0.0324164145, 0.0149071207, 0.00685523776, 0.00315247197, 0.00144970615,
    ],
    llama3: [1.0, 0.420714617, 0.088970311, 0.0243123118, 0.0111803403, 0.00514142821, 0.00236435398, 0.00108727964],
  };

  it.each([
    ['default', {}],
    ['linear', { factor: 3 }],
    ['llama3', { factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 50 }],
  ])('of rope_type %s are those of Python, in both spellings', (rope_type, more) => {
    const expected = PYTHON[rope_type as keyof typeof PYTHON];
    expectClose(rotary('eurobert', { rope_parameters: { rope_type, rope_theta: 500, ...more } }).frequencies, expected);
    expectClose(
      rotary('eurobert', { rope_theta: 500, rope_scaling: { type: rope_type, ...more } }).frequencies,
      expected,
    );
  });

  it('of rope_type dynamic depend on the length', () => {
    const parameters = { rope_type: 'dynamic', rope_theta: 500, factor: 2.5 };
    const { frequencies, stretch } = rotary('nomic_bert', { rope_parameters: parameters });
    expectClose(frequencies, PYTHON.default);
    expect(stretch).toEqual({ factor: 2.5, positions: 64 });
    // More tokens than it was trained with.
    expect(config('nomic_bert', { rope_parameters: parameters }).maxPositions).toBe(160);
  });

  // The same formula as in the remote code of Alibaba-NLP/new-impl, written out.
  it('of fixed NTK are those of the remote code', () => {
    const fixed = rotary('new', { rope_theta: 500, rope_scaling: { type: 'ntk', factor: 8 } }).frequencies;
    const mixed = rotary('new', {
      rope_theta: 500,
      rope_scaling: { type: 'ntk', factor: 8, mixed_b: 0.75 },
    }).frequencies;
    const a = Math.log(8) / 8 ** 0.75;
    for (let i = 0; i < 8; i++) {
      expect(fixed[i]).toBeCloseTo(1 / (500 * 8) ** ((2 * i) / 16) / 8 ** (2 / 16), 12);
      expect(mixed[i]).toBeCloseTo(1 / 500 ** ((2 * i) / 16) / Math.exp(a * (i + 1) ** 0.75), 12);
    }
  });

  it('of rope_scaling stand for all of rope_parameters, as in Python', () => {
    const rope_parameters = { rope_type: 'default', rope_theta: 77 };
    const both = { rope_theta: 500, rope_scaling: { type: 'linear', factor: 3 }, rope_parameters };
    expectClose(rotary('gte', both).frequencies, PYTHON.linear);
    expectClose(rotary('gte', { ...both, rope_scaling: null }).frequencies.slice(1, 2), [77 ** (-1 / 8)]);
  });

  it('turn the whole head without scaling, whatever partial_rotary_factor says, and refuse it with scaling', () => {
    const parameters = { rope_theta: 500, partial_rotary_factor: 0.5 };
    expectClose(rotary('gte', { rope_parameters: parameters }).frequencies, PYTHON.default);
    expectClose(rotary('gte', parameters).frequencies, PYTHON.default);
    const scaled = { rope_parameters: { ...parameters, rope_type: 'linear', factor: 3 } };
    expect(thrown(() => config('gte', scaled))).toBeInstanceOf(UnsupportedError);
  });

  it.each(['longrope', 'proportional', 'su'])('of rope_type %s are refused by name', rope_type => {
    const error = thrown(() => config('eurobert', { rope_parameters: { rope_type, rope_theta: 500, factor: 2 } }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain(rope_type);
  });

  it('without what they are computed from are an error', () => {
    expect(() => config('eurobert', { rope_scaling: { rope_type: 'linear' } })).toThrow(/factor/);
    expect(() => config('eurobert', { rope_scaling: { rope_type: 'llama3', factor: 2 } })).toThrow(/low_freq_factor/);
    expect(() => config('new', { rope_scaling: { type: 'ntk', factor: 'two' } })).toThrow(/factor/);
  });
});

describe('nomic_bert of the hub', () => {
  const hub = (fields: object = {}) => readConfig({ ...NOMIC_HUB, ...fields });

  it('has the names of GPT-2, and an inner size that is rounded up', () => {
    expect(hub()).toMatchObject({
      hiddenSize: 48,
      layers: 2,
      heads: 3,
      intermediateSize: 256,
      maxPositions: 64,
      activation: 'silu',
      isGated: true,
      biases: { qkv: false, attention: false, intermediate: false, output: false },
    });
    expect(hub({ activation_function: 'geglu' }).activation).toBe('gelu');
    expect(hub({ type_vocab_size: 0 }).typeVocabSize).toBe(0);
    const { interleaved, frequencies } = hub({ rotary_emb_interleaved: true, rotary_emb_fraction: 0.5 }).attentions[0]!
      .rotary!;
    expect(interleaved).toBe(true);
    expect(frequencies.length).toBe(4);
  });

  it('stretches its frequencies where config.json says so', () => {
    expect(hub().attentions[0]!.rotary!.stretch).toBeUndefined();
    expect(hub({ rotary_scaling_factor: null }).attentions[0]!.rotary!.stretch).toBeUndefined();
    expect(hub({ rotary_scaling_factor: 2, max_trained_positions: 32 }).attentions[0]!.rotary!.stretch).toEqual({
      factor: 2,
      positions: 32,
    });
  });

  it('has a masked-LM head with the biases of its class', () => {
    expect(hub().masked).toMatchObject({ bias: true, decoderBias: true });
    const ofPreTraining = hub({ architectures: ['NomicBertForPreTraining'] }).masked;
    expect(ofPreTraining).toMatchObject({ bias: false, decoderBias: false, activation: 'silu' });
  });

  it.each([
    ['num_experts', 8],
    ['prenorm', true],
    ['causal', true],
    ['use_rms_norm', true],
    ['parallel_block', true],
    ['rotary_emb_scale_base', 512],
    ['num_heads_kv', 1],
    ['activation_function', 'glu'],
  ])('with %s %s is refused by name', (name, value) => {
    const error = thrown(() => hub({ [name]: value }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain(`"${name}"`);
  });

  it('has the defaults of its own configuration, which extends that of GPT-2', () => {
    const { activation_function, rotary_emb_fraction, rotary_emb_base, ...rest } = NOMIC_HUB;
    const bare = readConfig(rest);
    expect(bare).toMatchObject({ norm: { eps: 1e-5 }, activation: 'gelu', isGated: false, hasPositionTable: true });
    expect(bare.masked.activation).toBe('gelu_tanh');
    expect(hub({ layer_norm_epsilon: 1e-12 }).norm.eps).toBe(1e-12);
    const turned = readConfig({ ...rest, activation_function, rotary_emb_fraction });
    expectClose(turned.attentions[0]!.rotary!.frequencies.slice(1, 2), [rotary_emb_base ** (-1 / 8)]);
  });

  it('without rotary positions has a table of them', () => {
    expect(hub().hasPositionTable).toBe(false);
    const without = hub({ rotary_emb_fraction: 0 });
    expect(without.hasPositionTable).toBe(true);
    expect(without.attentions).toEqual([{}, {}]);
  });

  it('turns as many pairs as torch.arange has numbers, but no more columns than a head has', () => {
    const odd = hub({ rotary_emb_fraction: 3 / 16 }).attentions[0]!.rotary!;
    expectClose(odd.frequencies, [1, 1000 ** (-2 / 3)]);
    const heads = { n_head: 16, rotary_emb_fraction: 1 };
    expect(thrown(() => hub(heads))).toMatchObject({ message: expect.stringContaining('rotary_emb_fraction') });
    expect(thrown(() => hub({ rotary_emb_fraction: 1.5 })).message).toContain('rotary_emb_fraction');
    const stretched = { rotary_emb_fraction: 3 / 16, rotary_scaling_factor: 2 };
    expect(thrown(() => hub(stretched))).toBeInstanceOf(UnsupportedError);
  });

  it('has a word table of a multiple of rows', () => {
    expect(hub({ vocab_size: 30, pad_vocab_size_multiple: 8 }).vocabSize).toBe(32);
    expect(hub({ vocab_size: 32, pad_vocab_size_multiple: 8 }).vocabSize).toBe(32);
  });
});

describe('gte and new', () => {
  it('may lack segments', () => {
    expect(config('gte', { type_vocab_size: 0 }).typeVocabSize).toBe(0);
    expect(config('gte').typeVocabSize).toBe(1);
    expect(thrown(() => config('bert', { type_vocab_size: 0 }).typeVocabSize).message).toContain('type_vocab_size');
  });

  it('with one row of segments take it for every token, whatever a tokenizer says of pairs', () => {
    const pair = { ids: [1, 2], types: [0, 1] };
    for (const type of ['gte', 'new']) {
      expect([...Array.from(checkSequence(config(type, { type_vocab_size: 1 }), pair).types)], type).toEqual([0, 0]);
      expect([...Array.from(checkSequence(config(type, { type_vocab_size: 2 }), pair).types)], type).toEqual([0, 1]);
      const few = thrown(() => checkSequence(config(type, { type_vocab_size: 1 }), { ids: [1, 2], types: [0] }));
      expect(few.message, type).toContain('differ in number');
      const past = { ids: [1, 2], types: [0, 2] };
      expect(thrown(() => checkSequence(config(type, { type_vocab_size: 2 }), past)).message).toContain('token type');
    }
    const { message } = thrown(() => checkSequence(config('bert', { type_vocab_size: 1 }), pair));
    expect(message).toContain('token type id');
  });

  it.each([
    ['position_embedding_type', 'alibi'],
    ['layer_norm_type', 'batch_norm'],
    ['logn_attention_scale', true],
  ])('new with %s %s is refused by name', (name, value) => {
    const error = thrown(() => config('new', { [name]: value }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain(`"${name}"`);
  });

  it('have different bases where config.json says none', () => {
    expect(rotary('gte').frequencies[1]).toBeCloseTo(160_000 ** (-2 / 16), 12);
    expect(rotary('new').frequencies[1]).toBeCloseTo(10_000 ** (-2 / 16), 12);
  });
});

describe('gemma3_text', () => {
  it('looks at half of the window on each side, and has heads of 256 where config.json says nothing', () => {
    const { head_dim: _, ...rest } = GEMMA;
    expect(readConfig({ ...rest, sliding_window: 512 })).toMatchObject({
      headSize: 256,
      layerOrder: 'sandwich',
      queryKeyNorm: 'head',
      attentionScale: 1 / 16,
      embeddingFactor: Math.sqrt(48),
      attentions: [{ window: 256 }, { window: 256 }, { window: 256 }],
    });
    // What earlier versions saved is halved once more, as Python does.
    expect(readConfig({ ...GEMMA, sliding_window: 257 }).attentions[0]!.window).toBe(128);
  });

  it('scales the positions of full layers alone by rope_scaling', () => {
    const scaled = readConfig({
      ...GEMMA,
      layer_types: ['full_attention', 'sliding_attention', 'sliding_attention'],
      rope_scaling: { rope_type: 'linear', factor: 8 },
    });
    expect(scaled.attentions[0]!.window).toBeUndefined();
    expect(scaled.attentions[0]!.rotary!.frequencies[0]).toBe(1 / 8);
    expect(scaled.attentions[1]!.rotary!.frequencies[0]).toBe(1);
  });

  it.each([[false], [undefined], [null]])('with use_bidirectional_attention %s is a decoder, and refused', value => {
    const error = thrown(() => readConfig({ ...GEMMA, use_bidirectional_attention: value }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain('use_bidirectional_attention');
  });

  it('refuses capped scores, and heads that do not divide', () => {
    expect(thrown(() => readConfig({ ...GEMMA, attn_logit_softcapping: 50 }))).toBeInstanceOf(UnsupportedError);
    const error = thrown(() => readConfig({ ...GEMMA, num_key_value_heads: 2 }));
    expect(error.message).toContain('num_key_value_heads');
  });
});

describe('eurobert', () => {
  it.each([
    ['bos', { pooling: 'cls', pools: 'first' }],
    ['mean', { pooling: 'mean', pools: 'first' }],
    ['late', { pooling: 'mean', pools: 'last' }],
  ])('classifier_pooling %s', (classifier_pooling, classifier) => {
    expect(config('eurobert', { classifier_pooling }).classifier).toMatchObject(classifier);
  });

  it('refuses another pooling', () => {
    expect(thrown(() => config('eurobert', { classifier_pooling: 'max' }))).toBeInstanceOf(UnsupportedError);
  });
});

describe('xlm-roberta-flash', () => {
  it('has rotary positions, or XLM-RoBERTa’s table', () => {
    const flash = config('xlm-roberta-flash', { rotary_emb_base: 20_000 });
    expect(flash).toMatchObject({ hasPositionTable: false, positionOffset: 0, maxPositions: 64 });
    expect(flash.attentions[0]!.rotary!.frequencies[1]).toBeCloseTo(20_000 ** (-2 / 16), 12);
    const absolute = config('xlm-roberta-flash', { position_embedding_type: 'absolute', pad_token_id: 1 });
    expect(absolute).toMatchObject({ hasPositionTable: true, positionOffset: 2, maxPositions: 62 });
    expect(absolute.attentions[0]!.rotary).toBeUndefined();
  });

  it.each([
    ['position_embedding_type', 'alibi'],
    ['hidden_act', 'relu'],
    ['rotary_emb_scale_base', 512],
    ['last_layer_subset', true],
  ])('with %s %s is refused by name', (name, value) => {
    const error = thrown(() => config('xlm-roberta-flash', { [name]: value }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain(`"${name}"`);
  });

  it('has tasks where config.json lists them', () => {
    expect(config('xlm-roberta-flash').lora).toBeUndefined();
    expect(config('xlm-roberta-flash', { lora_adaptations: ['a', 'b'], lora_rank: 8, lora_alpha: 2 }).lora).toEqual({
      tasks: ['a', 'b'],
      rank: 8,
      scale: 0.25,
      task: undefined,
    });
    expect(thrown(() => config('xlm-roberta-flash', { lora_adaptations: [1] })).message).toContain('lora_adaptations');
  });
});
