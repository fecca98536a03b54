import { describe, expect, it } from 'vitest';
import { type ModelInputs, unpadInputs } from '../src/api/inputs.ts';
import { Tensor } from '../src/api/tensor.ts';
import { CheckpointError, InputError, UnsupportedError } from '../src/errors.ts';
import { MODEL_TYPES, readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import { checkSequence } from '../src/model/input.ts';
import { labelNames } from '../src/model/labels.ts';
import { canonicalRequest } from '../src/model/request.ts';
import { plan } from '../src/plan/plan.ts';
import { GPU } from './caps.ts';

const bert = {
  model_type: 'bert',
  vocab_size: 30,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 16,
  type_vocab_size: 2,
};
const caps = GPU;

function thrown(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('readConfig', () => {
  it('reads BERT with its defaults', () => {
    expect(readConfig(bert)).toMatchObject({
      modelType: 'bert',
      vocabSize: 30,
      hiddenSize: 12,
      layers: 2,
      heads: 3,
      headSize: 4,
      intermediateSize: 20,
      activation: 'gelu',
      norm: { eps: 1e-12 },
      maxPositions: 16,
      typeVocabSize: 2,
      padTokenId: 0,
    });
    const { type_vocab_size: _, ...rest } = bert;
    expect(readConfig({ ...rest, layer_norm_eps: 1e-5, pad_token_id: null, is_decoder: false })).toMatchObject({
      typeVocabSize: 2,
      norm: { eps: 1e-5 },
      padTokenId: 0,
    });
  });

  it.each([
    ['gelu', 'gelu'],
    ['gelu_python', 'gelu'],
    ['gelu_new', 'gelu_tanh'],
    ['gelu_fast', 'gelu_tanh'],
    ['gelu_pytorch_tanh', 'gelu_tanh'],
    ['relu', 'relu'],
    ['silu', 'silu'],
    ['swish', 'silu'],
    ['tanh', 'tanh'],
  ])('hidden_act %s is %s', (hidden_act, activation) => {
    expect(readConfig({ ...bert, hidden_act }).activation).toBe(activation);
  });

  it.each([['gpt2'], ['BERT'], ['toString'], [''], [5], [null], [undefined]])('refuses model_type %j', model_type => {
    const error = thrown(() => readConfig({ ...bert, model_type })) as UnsupportedError;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.supported).toEqual([...MODEL_TYPES]);
    expect(error.message).toContain('bert');
  });

  it.each([
    ['hidden_act', 'mish'],
    ['hidden_act', 'toString'],
    ['hidden_act', 3],
    ['is_decoder', true],
    ['add_cross_attention', true],
    ['position_embedding_type', 'relative_key'],
    ['position_embedding_type', 'relative_key_query'],
  ])('refuses %s %j, with the list of what there is', (name, value) => {
    const error = thrown(() => readConfig({ ...bert, [name]: value })) as UnsupportedError;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain(name);
    expect(error.message).toContain(JSON.stringify(value));
    expect(error.supported.length).toBeGreaterThan(0);
  });

  const counts = Object.keys(bert).filter(name => name !== 'model_type');
  it.each(counts)('refuses a %s that is no count', name => {
    for (const value of [0, -1, 1.5, '12', Number.NaN, Number.POSITIVE_INFINITY, [12], true, 2 ** 60]) {
      const error = thrown(() => readConfig({ ...bert, [name]: value }));
      expect(error, `${name} ${String(value)}`).toBeInstanceOf(CheckpointError);
      expect((error as Error).message).toContain(name);
    }
  });

  it.each(counts.filter(name => name !== 'type_vocab_size'))('refuses a missing %s', name => {
    for (const value of [undefined, null]) {
      const error = thrown(() => readConfig({ ...bert, [name]: value })) as CheckpointError;
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.file).toBe('config.json');
      expect(error.message).toContain(name);
    }
  });

  it('refuses heads that do not divide the hidden size', () => {
    const error = thrown(() => readConfig({ ...bert, num_attention_heads: 5 })) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/hidden_size 12.*num_attention_heads 5/);
  });

  it.each([[-1], [1], ['1e-12'], [Number.NaN]])('refuses layer_norm_eps %j', layer_norm_eps => {
    expect(thrown(() => readConfig({ ...bert, layer_norm_eps }))).toBeInstanceOf(CheckpointError);
  });

  it.each([[null], [undefined], ['bert'], [5], [[bert]], [true]])('refuses %j, which is no object', raw => {
    expect(thrown(() => readConfig(raw))).toBeInstanceOf(CheckpointError);
  });
});

describe('classes', () => {
  const read = (fields: object) => readConfig({ ...bert, ...fields });
  const logitsOf = (fields: object, kind: 'SequenceClassification' | 'TokenClassification') =>
    encoderGraph(read(fields), { head: { kind } }).outputs.find(({ name }) => name === 'logits')!.value.columns;

  it.each([
    [{}, ['LABEL_0', 'LABEL_1']],
    [{ id2label: null }, ['LABEL_0', 'LABEL_1']],
    [{ num_labels: 3 }, ['LABEL_0', 'LABEL_1', 'LABEL_2']],
    [{ num_labels: null }, ['LABEL_0', 'LABEL_1']],
    [{ id2label: { 1: 'b', 0: 'a' } }, ['a', 'b']],
    // Until the weights say otherwise the length of id2label counts: see withCountedLabels.
    [{ id2label: { 0: 'a', 1: 'b', 2: 'c' }, num_labels: 2, problem_type: null }, ['a', 'b', 'c']],
    [{ id2label: { 0: 5, 1: 'b' } }, ['5', 'b']],
  ])('%j are those of Python', (fields, names) => {
    expect(labelNames(read(fields))).toEqual(names);
    expect(logitsOf(fields, 'SequenceClassification')).toBe(names.length);
    expect(logitsOf(fields, 'TokenClassification')).toBe(names.length);
  });

  it.each([
    [{ id2label: { 0: 'x', 2: 'z' } }, 2, 'class 1'],
    [{ id2label: { 1: 'x', 2: 'z' } }, 2, 'class 0'],
    [{ id2label: { x: 0, y: 1 } }, 2, 'class 0'],
    [{ id2label: { 0: 'x', 4000000000: 'z' } }, 2, 'class 1'],
    [{ id2label: { 0: 'x', '-1': 'z', 1: null } }, 3, 'class 1'],
  ])('%j: as many rows as entries, as in Python; names only where a task answers with them', (fields, rows, lacks) => {
    expect(logitsOf(fields, 'SequenceClassification')).toBe(rows);
    const error = thrown(() => labelNames(read(fields))) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain('config.json is malformed: id2label');
    expect(error.message).toContain(lacks);
    expect(error.next).toContain('a copy of config.json');
  });

  it.each([
    [{ id2label: {} }, 'id2label'],
    [{ id2label: [] }, 'id2label'],
    [{ id2label: 'positive' }, 'id2label'],
    [{ id2label: null, num_labels: 0 }, 'num_labels'],
    [{ num_labels: 1e12 }, 'num_labels'],
    [{ num_labels: '3' }, 'num_labels'],
    [{ num_labels: -1 }, 'num_labels'],
  ])('%j stops only a head that classifies', (fields, where) => {
    expect(encoderGraph(read(fields), { lastHiddenState: true }).outputs).toHaveLength(1);
    for (const kind of ['MaskedLM', 'QuestionAnswering', 'MultipleChoice'] as const) {
      expect(encoderGraph(read(fields), { head: { kind } }).outputs).toHaveLength(1);
    }
    for (const kind of ['SequenceClassification', 'TokenClassification'] as const) {
      const error = thrown(() => logitsOf(fields, kind)) as CheckpointError;
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toContain(`config.json is malformed: ${where}`);
    }
  });
});

describe('pad_token_id', () => {
  const roberta = { ...bert, model_type: 'roberta', max_position_embeddings: 18 };
  const positions = (fields: object, ids: number[]) =>
    Array.from(checkSequence(readConfig({ ...roberta, ...fields }), { ids }).positions);

  it.each([[-1], [null], [undefined], [7], [2 ** 60], ['0'], [1.5]])('%j says nothing of a BERT', pad_token_id => {
    expect(readConfig({ ...bert, pad_token_id }).positionOffset).toBe(0);
  });

  it('is where the positions of a RoBERTa begin, and what they leave out', () => {
    expect(positions({}, [5, 1, 6])).toEqual([2, 1, 3]);
    expect(positions({ pad_token_id: 1 }, [5, 1, 6])).toEqual([2, 1, 3]);
    expect(positions({ pad_token_id: null }, [5, 1, 6])).toEqual([2, 1, 3]);
    expect(positions({ pad_token_id: 0 }, [5, 0, 6])).toEqual([1, 0, 2]);
    // transformers: cumsum of `ids != -1`, plus -1: no token is padding.
    expect(positions({ pad_token_id: -1 }, [5, 1, 6])).toEqual([0, 1, 2]);
    expect(readConfig({ ...roberta, pad_token_id: -1 }).maxPositions).toBe(18);
    for (const pad_token_id of [-2, 1.5, '1', 2 ** 60]) {
      expect(
        thrown(() => positions({ pad_token_id }, [5])),
        `${pad_token_id}`,
      ).toBeInstanceOf(CheckpointError);
    }
  });

  it('is 1 in MPNet, whatever config.json says, as in Python', () => {
    for (const pad_token_id of [undefined, 1, 5, -1]) {
      expect(positions({ model_type: 'mpnet', pad_token_id }, [5, 1, 6])).toEqual([2, 1, 3]);
    }
  });

  it('leaves at least one position', () => {
    for (const pad_token_id of [17, 18, 1000]) {
      expect(thrown(() => readConfig({ ...roberta, pad_token_id }))).toBeInstanceOf(CheckpointError);
    }
    expect(readConfig({ ...roberta, pad_token_id: 16 }).maxPositions).toBe(1);
  });
});

describe('numbers that no encoder has', () => {
  it.each([
    ['num_hidden_layers', 1e8],
    ['vocab_size', 1e12],
    ['max_position_embeddings', 1e12],
    ['hidden_size', 3e9],
    ['intermediate_size', 2 ** 50],
    ['type_vocab_size', 2 ** 52],
  ])('%s %d is refused before anything is made of it', (name, value) => {
    const error = thrown(() => readConfig({ ...bert, [name]: value })) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(name);
    expect(error.expected).toMatch(/a whole number from \d to \d+/);
  });

  it('a value of any kind in the place of a name is described', () => {
    const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`);
    for (const model_type of [deep, { toString: 1, valueOf: 2 }]) {
      expect(thrown(() => readConfig({ ...bert, model_type }))).toBeInstanceOf(UnsupportedError);
    }
  });
});

describe('checkSequence', () => {
  const config = readConfig(bert);
  it('fills in types and positions', () => {
    const sequence = checkSequence(config, { ids: [1, 29, 0] });
    expect([...Array.from(sequence.ids)]).toEqual([1, 29, 0]);
    expect(Array.from(sequence.types)).toEqual([0, 0, 0]);
    expect(Array.from(sequence.positions)).toEqual([0, 1, 2]);
    const given = checkSequence(config, { ids: [1, 2], types: [1, 0], positions: [15, 3] });
    expect([Array.from(given.types), Array.from(given.positions)]).toEqual([
      [1, 0],
      [15, 3],
    ]);
  });

  it.each([
    ['no tokens', { ids: [] }, 'no tokens'],
    ['an id past the end', { ids: [1, 30] }, '30 (at 1 of 2)'],
    ['a negative id', { ids: [-1] }, '-1'],
    ['a fraction', { ids: [0.5] }, '0.5'],
    ['not a number', { ids: [Number.NaN] }, 'NaN'],
    ['a type past the end', { ids: [1], types: [2] }, 'token type'],
    ['a position past the end', { ids: [1], positions: [16] }, 'position'],
    ['too many tokens', { ids: Array(17).fill(1) }, 'at most 16'],
    ['too few types', { ids: [1, 2], types: [0] }, 'differ in number'],
    ['too many positions', { ids: [1], positions: [0, 1] }, 'differ in number'],
  ])('refuses %s', (_, raw, message) => {
    const error = thrown(() => checkSequence(config, raw)) as InputError;
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain(message);
  });
});

describe('unpadInputs', () => {
  const config = readConfig(bert);
  const unpad = (inputs: object, blocks = false) => unpadInputs(config, inputs as ModelInputs, blocks);

  it('takes padding and holes out, and keeps places', () => {
    const { rows, width } = unpad({
      input_ids: new Tensor('int64', [5, 6, 0, 7, 8, 9], [2, 3]),
      attention_mask: [
        [1, 1, 0],
        [1, 0, 1],
      ],
      token_type_ids: [
        [0, 1, 0],
        [1, 1, 0],
      ],
    });
    expect(width).toBe(3);
    expect(rows).toEqual([
      { places: [0, 1], ids: [5, 6], types: [0, 1], positions: [0, 1] },
      { places: [0, 2], ids: [7, 9], types: [1, 0], positions: [0, 2] },
    ]);
  });

  it('takes ragged lists and given positions', () => {
    const { rows, width } = unpad({ input_ids: [[1], [2n, 3n]], position_ids: [[4], [5, 6]] });
    expect(width).toBe(2);
    expect(rows.map(({ ids, positions }) => [ids, positions])).toEqual([
      [[1], [4]],
      [
        [2, 3],
        [5, 6],
      ],
    ]);
  });

  it('takes typed rows and masks of booleans', () => {
    const { rows } = unpad({ input_ids: [new Int32Array([2, 5, 3])], attention_mask: [[true, true, false]] });
    expect(rows[0]!.ids).toEqual([2, 5]);
  });

  it('takes blocks of choices where the model does', () => {
    const { rows, choices } = unpad({ input_ids: [[[1], [2]]] }, true);
    expect([rows.length, choices]).toEqual([2, 2]);
    expect(() => unpad({ input_ids: [[[1], [2]]] })).toThrow(/three dims/);
    expect(() => unpad({ input_ids: [[[1], [2]], [[3]]] }, true)).toThrow(/different numbers of choices/);
  });

  it('takes more rows than a call takes arguments', () => {
    const input_ids = Array.from({ length: 300_000 }, (_, i) => (i === 7 ? [1, 2, 3] : [1]));
    expect(unpad({ input_ids }).width).toBe(3);
  });

  it.each([
    [{ input_ids: [[2, null]] }, /null in a row/],
    [{ input_ids: [['2', '5']] }, /"2" in a row/],
    [{ input_ids: [2, 5] }, /one flat list/],
    [{ input_ids: [[2]], attention_mask: [[-10000]] }, /attention_mask is wrong: got number -10000/],
    [{ input_ids: [[2]], attention_masks: [[1]] }, /no input "attention_masks"/],
    [{ input_ids: [[2]], task_type_ids: [[1]] }, /no input "task_type_ids"/],
  ])('refuses %j', (inputs, message) => {
    expect(() => unpad(inputs)).toThrow(message);
  });
});

describe('canonicalRequest', () => {
  it('makes one of equal requests', () => {
    expect(canonicalRequest({ attentions: [1, 0, 1] })).toEqual({ attentions: [0, 1] });
    const head = { kind: 'MaskedLM', picked: true } as const;
    expect(canonicalRequest({ head: { ...head, topK: 5 } })).toEqual({ head: { ...head, topK: 8 } });
  });
});

describe("ALBERT's groups of layers", () => {
  it('are those of the Python code, which divides floats', () => {
    const config = readConfig({ ...bert, model_type: 'albert', num_hidden_layers: 18, num_hidden_groups: 14 });
    expect(config.layerWeights[9]).toBe(Math.floor(9 / (18 / 14)));
  });

  it('run as a whole where they have several', () => {
    const albert = { ...bert, model_type: 'albert' };
    const config = readConfig({ ...albert, num_hidden_layers: 3, num_hidden_groups: 2, inner_group_num: 2 });
    expect(config.layers).toBe(6);
    expect(config.layerWeights).toEqual([0, 1, 0, 1, 2, 3]);
    expect(() => readConfig({ ...albert, num_hidden_layers: 200, inner_group_num: 2 })).toThrow(
      'inner_group_num: got number 2, expected at most 1 with 200 layers',
    );
  });
});

describe('encoderGraph', () => {
  const names = (request: Parameters<typeof encoderGraph>[1]) =>
    encoderGraph(readConfig(bert), request).outputs.map(({ name, layer }) =>
      layer === undefined ? name : [name, layer],
    );

  it('gives what is asked for, and nothing else', () => {
    expect(names({ lastHiddenState: true })).toEqual(['last_hidden_state']);
    expect(names({ lastHiddenState: true, pooler: true }).sort()).toEqual(['last_hidden_state', 'pooler_output']);
    expect(names({ pool: { pooling: 'mean', normalize: true } })).toEqual(['embedding']);
    expect(names({ hiddenStates: [0, 1, 2] })).toEqual([0, 1, 2].map(layer => ['hidden_states', layer]));
    expect(names({ attentions: [0, 1] })).toEqual([0, 1].map(layer => ['attentions', layer]));
    expect(names({ hiddenStates: [2], attentions: [1] }).sort()).toEqual([
      ['attentions', 1],
      ['hidden_states', 2],
    ]);
  });

  it('asks for the tensors of a BertModel, each once, in its shape', () => {
    const { weights } = plan(encoderGraph(readConfig(bert), { lastHiddenState: true, pooler: true }), { caps });
    const shapes = new Map(weights.flatMap(({ parts }) => parts.map(({ tensor, shape }) => [tensor, shape])));
    const layer = (i: number) => [
      ...['query', 'key', 'value'].map(part => `encoder.layer.${i}.attention.self.${part}`),
      ...[
        'attention.output.dense',
        'attention.output.LayerNorm',
        'intermediate.dense',
        'output.dense',
        'output.LayerNorm',
      ].map(part => `encoder.layer.${i}.${part}`),
    ];
    const expected = [
      ...['word', 'position', 'token_type'].map(table => `embeddings.${table}_embeddings.weight`),
      ...['embeddings.LayerNorm', ...layer(0), ...layer(1), 'pooler.dense'].flatMap(p => [`${p}.weight`, `${p}.bias`]),
    ];
    expect([...shapes.keys()].sort()).toEqual(expected.sort());
    expect(weights.flatMap(({ parts }) => parts)).toHaveLength(expected.length);
    expect(shapes.get('embeddings.position_embeddings.weight')).toEqual([16, 12]);
    expect(shapes.get('encoder.layer.1.intermediate.dense.weight')).toEqual([20, 12]);
    expect(shapes.get('encoder.layer.1.output.dense.weight')).toEqual([12, 20]);
    expect(shapes.get('encoder.layer.0.output.LayerNorm.bias')).toEqual([12]);
  });
});
