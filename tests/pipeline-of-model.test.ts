import { describe, expect, test, vi } from 'vitest';
import { DeviceError, InputError, UnsupportedError } from '../src/errors.ts';
import type { AutoClass, CallableModel, PreTrainedModel, Tensor } from '../src/index.ts';
import * as library from '../src/index.ts';
import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForPreTraining,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  AutoTokenizer,
  pipeline,
  type Task,
} from '../src/index.ts';
import {
  get_peft_model,
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
  Trainer,
  type TrainerCallback,
} from '../src/train.ts';
import { readTensors, safetensors } from './checkpoint-bytes.ts';
import { type Files, fixtureFiles } from './fixture-files.ts';
import { thrown } from './source-environment.ts';

/** `pipeline(task, model)` of a model that is there already: it is that model, trained or not, and no copy of it. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

/** The class that loads a model for each task; of tasks without a head AutoModel. */
const HEADS: Readonly<Partial<Record<Task, string>>> = {
  'fill-mask': 'MaskedLM',
  'text-classification': 'SequenceClassification',
  'zero-shot-classification': 'SequenceClassification',
  'text-ranking': 'SequenceClassification',
  'token-classification': 'TokenClassification',
  'question-answering': 'QuestionAnswering',
  'next-sentence-prediction': 'NextSentencePrediction',
  'multiple-choice': 'MultipleChoice',
};
const classes = library as unknown as Record<string, AutoClass<never>>;
const classOf = (task: Task) => classes[HEADS[task] ? `AutoModelFor${HEADS[task]}` : 'AutoModel']!;

/** A call of each task, and the fixture that it is made of. */
const CALLS: readonly (readonly [task: Task, folder: string, args: readonly unknown[]])[] = [
  ['feature-extraction', 'bert-base', [['Paris', 'the fox'], { pooling: 'mean' }]],
  ['sentence-similarity', 'bert-base', [{ source_sentence: 'Paris', sentences: ['a city', 'the fox'] }]],
  ['fill-mask', 'bert-masked-lm', ['Paris is the [MASK] of France.']],
  ['text-classification', 'bert-sequence', [['Paris', 'the fox'], { top_k: null }]],
  ['zero-shot-classification', 'bert-sequence', ['Paris', ['town', 'sea'], { entailment_label: 'POS' }]],
  ['text-ranking', 'bert-rerank', ['Paris', ['a town', 'the sea']]],
  ['token-classification', 'deberta-v2-token', ['Anna met Paul in New York']],
  ['question-answering', 'bert-qa', ['Where is it?', 'It is in Paris.']],
  ['next-sentence-prediction', 'bert-pretraining', ['He opened the door.', 'Then he went in.']],
  ['multiple-choice', 'bert-choice', ['Paris is', ['a town', 'the sea']]],
];
type AnyPipeline = ((...values: unknown[]) => Promise<unknown>) & { readonly model: PreTrainedModel };
const made = (pipe: unknown) => pipe as AnyPipeline;

const weights = ({ 'config.json': config, 'model.safetensors': tensors }: Files) =>
  ({ 'config.json': config, 'model.safetensors': tensors }) as Files;
const parsed = (files: Files) => JSON.parse(new TextDecoder().decode(files['config.json']));

describe('the answers are those of a pipeline that loads the model', () => {
  test.each(CALLS)('%s of %s', async (task, folder, args) => {
    const files = fixtureFiles(`random/${folder}`);
    const expected = await made(await pipeline(task, files))(...args);
    // With the tokenizer of its files.
    const whole = await classOf(task).from_pretrained(files);
    const own = made(await pipeline(task, whole));
    expect(own.model).toBe(whole);
    expect(await own(...args)).toStrictEqual(expected);
    // With one that is given, of a model that has none.
    const bare = await classOf(task).from_pretrained(weights(files));
    const tokenizer = await AutoTokenizer.from_pretrained(files);
    const given = await pipeline(task, bare, { tokenizer });
    expect(given.tokenizer).toBe(tokenizer);
    const answer = await made(given)(...args);
    // Embeddings say which space they are in, which depends on where the tokenizer is from.
    if (task === 'feature-extraction') expect((answer as Tensor).data).toEqual((expected as Tensor).data);
    else expect(answer).toStrictEqual(expected);
  });

  test('of a pipeline too, whose modules have weights', async () => {
    const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-dense') };
    const first = await pipeline('feature-extraction', files);
    const again = await pipeline('feature-extraction', first.model);
    const [a, b] = [await first.encode_query('Paris'), await again.encode_query('Paris')];
    expect(b.data).toEqual(a.data);
    expect(b.space).toBe(a.space);
    const similar = await pipeline('sentence-similarity', first.model);
    expect(similar.model).toBe(first.model);
  });

  test('of a repository whose encoder has a folder', async () => {
    const files = fixtureFiles('sentence/in-folder');
    const first = await pipeline('feature-extraction', files);
    const again = await pipeline('feature-extraction', first.model);
    expect((await again.encode_query('Paris')).data).toEqual((await first.encode_query('Paris')).data);
  });

  test('with the pooling and prompts of modules.json, where they need no weights', async () => {
    const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-prompts') };
    const first = await pipeline('feature-extraction', files);
    const again = await pipeline('feature-extraction', await AutoModel.from_pretrained(files));
    expect((await again.encode_query('Paris')).data).toEqual((await first.encode_query('Paris')).data);
    expect((await again.save_pretrained()).map(({ name }) => name).sort()).toEqual(
      (await first.save_pretrained()).map(({ name }) => name).sort(),
    );
  });

  test('of the encoder below a head', async () => {
    const files = fixtureFiles('random/bert-masked-lm');
    const texts = ['Paris is a city', 'the fox'];
    const options = { pooling: 'mean', normalize: true } as const;
    const expected = await (await pipeline('feature-extraction', files))(texts, options);
    const masked = await pipeline('feature-extraction', await AutoModelForMaskedLM.from_pretrained(files));
    expect((await masked(texts, options)).data).toEqual(expected.data);
  });

  test('of both heads of pre-training', async () => {
    const files = fixtureFiles('random/bert-pretraining');
    const both = await AutoModelForPreTraining.from_pretrained(files);
    for (const [task, args] of [
      ['fill-mask', ['Paris is the [MASK] of France.']],
      ['next-sentence-prediction', ['He opened the door.', 'Then he went in.']],
    ] as const) {
      const expected = await made(await pipeline(task, files))(...args);
      expect(await made(await pipeline(task, both))(...args)).toStrictEqual(expected);
    }
    const electra = await AutoModelForPreTraining.from_pretrained(fixtureFiles('random/electra-discriminator'));
    expect(await thrown(pipeline('fill-mask', electra))).toBeInstanceOf(InputError);
  });
});

const config = parsed(fixtureFiles('random/bert-base'));
const tokenizerOf = (name = 'random/bert-base') => AutoTokenizer.from_pretrained(fixtureFiles(name));

describe('a model of from_config', () => {
  test.each(Object.keys(HEADS) as Task[])('has no tokenizer, and works for %s with one', async task => {
    const model = await classOf(task).from_config({ ...config, id2label: { 0: 'entailment' }, num_labels: 1 });
    const error = await thrown(pipeline(task, model));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/no tokenizer.*pipeline\(task, model, \{ tokenizer: await AutoTokenizer/);
    const pipe = await pipeline(task, model, { tokenizer: await tokenizerOf() });
    const args: Partial<Record<Task, unknown[]>> = {
      'fill-mask': ['Paris is [MASK].'],
      'zero-shot-classification': ['Paris', ['town', 'sea']],
      'text-ranking': ['Paris', ['a town', 'the sea']],
      'question-answering': ['Where?', 'In Paris.'],
      'next-sentence-prediction': ['Paris', 'is a town'],
      'multiple-choice': ['Paris is', ['a town', 'the sea']],
    };
    expect(await made(pipe)(...(args[task] ?? ['Paris']))).toBeDefined();
  });

  test('is an embedder with the mean of its tokens, which a trainer takes', async () => {
    const model = await AutoModel.from_config(config);
    const extractor = await pipeline('feature-extraction', model, { tokenizer: await tokenizerOf() });
    const before = await extractor.encode_query('Paris');
    const trainer = new SentenceTransformerTrainer({
      model: extractor,
      loss: new MultipleNegativesRankingLoss(),
      train_dataset: [
        { anchor: 'Paris', positive: 'a city in France' },
        { anchor: 'the fox', positive: 'a brown animal' },
      ],
      args: { max_steps: 2, learning_rate: 1e-3, dropout: 0 },
    });
    await trainer.train();
    const after = await extractor.encode_query('Paris');
    expect(after.space).not.toBe(before.space);
    expect(after.data).not.toEqual(before.data);
    // What is saved is whole.
    const again = await pipeline('feature-extraction', await extractor.save_pretrained());
    expect((await again.encode_query('Paris')).data).toEqual(after.data);
  });
});

describe('the model between two steps of a training', () => {
  const setUp = async (adapt: (model: CallableModel<'logits'>) => Promise<CallableModel<'logits'>>) => {
    const files = fixtureFiles('random/bert-sequence');
    const model = await adapt(await AutoModelForSequenceClassification.from_pretrained(files));
    const tokenizer = await AutoTokenizer.from_pretrained(files);
    const classifier = await pipeline('text-classification', model, { tokenizer });
    const scores: number[] = [];
    const look: TrainerCallback = {
      async on_step_end() {
        const { score } = (await classifier('Paris is fine'))[0]!;
        const { logits } = await model(tokenizer('Paris is fine'));
        const exponents = Array.from(logits.data as Float32Array, Math.exp);
        // The pipeline's answer is that of the weights of this moment.
        expect(score).toBeCloseTo(Math.max(...exponents) / exponents.reduce((a, b) => a + b, 0), 6);
        scores.push(score);
      },
    };
    const train_dataset = [0, 1, 2].map(label => ({ text: `Paris ${label}`, label }));
    const args = { max_steps: 3, learning_rate: 1e-2, per_device_train_batch_size: 3 };
    const trainer = new Trainer({ model, processing_class: tokenizer, train_dataset, args, callbacks: [look] });
    await trainer.train();
    return scores;
  };

  test('is what the pipeline computes with', async () => {
    const scores = await setUp(async model => model);
    expect(new Set(scores).size).toBe(3);
  });

  test('with adapters, too', async () => {
    const scores = await setUp(model => get_peft_model(model, { task_type: 'SEQ_CLS', target_modules: ['query'] }));
    expect(new Set(scores).size).toBe(3);
  });
});

describe('what is refused', () => {
  test('a head of another task', async () => {
    const files = fixtureFiles('random/bert-sequence');
    const model = await AutoModelForSequenceClassification.from_pretrained(files);
    const error = await thrown(pipeline('fill-mask', model));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toBe(
      'the model has not the head of fill-mask: got a model for SequenceClassification, expected one for MaskedLM. Load it with AutoModelForMaskedLM.',
    );
    expect(await thrown(pipeline('ner', await AutoModel.from_pretrained(files)))).toBeInstanceOf(InputError);
  });

  test('options of a load', async () => {
    const model = await AutoModelForSequenceClassification.from_pretrained(fixtureFiles('random/bert-sequence'));
    const error = await thrown(pipeline('text-classification', model, { dtype: 'fp16' }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain('from_pretrained');
    await pipeline('text-classification', model, { dtype: null });
    await pipeline('text-classification', model, null);
  });

  test('what is no tokenizer', async () => {
    const files = fixtureFiles('random/bert-base');
    const tokenizer = 'org/name' as never;
    const model = await AutoModel.from_pretrained(files);
    expect(await thrown(pipeline('feature-extraction', model, { tokenizer }))).toBeInstanceOf(InputError);
    expect(await thrown(pipeline('feature-extraction', files, { tokenizer }))).toBeInstanceOf(InputError);
  });

  test('ids that the model has no embeddings of, at the call', async () => {
    const small = await AutoModel.from_config({ ...config, vocab_size: 8 });
    const extractor = await pipeline('feature-extraction', small, { tokenizer: await tokenizerOf() });
    const error = await thrown(extractor('Paris is a city'));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/the model has no embedding for the token .* below 8/);
  });

  test('modules whose weights were not loaded, when they are asked for', async () => {
    const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-dense') };
    const extractor = await pipeline('feature-extraction', await AutoModel.from_pretrained(files));
    await extractor('Paris', { pooling: 'mean' });
    const error = await thrown(extractor.encode_query('Paris'));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain('without the weights of its modules');
  });

  test('an encoder beside that of its modules', async () => {
    const below = Object.entries(fixtureFiles('sentence/in-folder')).map(
      ([path, bytes]) => [path.slice('model/'.length), bytes] as const,
    );
    const files = { ...Object.fromEntries(below), ...fixtureFiles('random/bert-base') };
    const error = await thrown(pipeline('feature-extraction', await AutoModel.from_pretrained(files)));
    expect(error).toBeInstanceOf(UnsupportedError);
  });

  test('a head whose paths are scored on the CPU, by tensors that were not loaded', async () => {
    const files = fixtureFiles('random/bert-token');
    const labels = Object.keys(parsed(files).id2label).length;
    const zeros = (...shape: number[]) => ({
      dtype: 'F32',
      shape,
      bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b)),
    });
    const crf = {
      'crf.transitions': zeros(labels, labels),
      'crf.start_transitions': zeros(labels),
      'crf.end_transitions': zeros(labels),
    };
    const all = { ...files, 'model.safetensors': safetensors({ ...readTensors(files['model.safetensors']!), ...crf }) };
    const model = await AutoModelForTokenClassification.from_pretrained(all);
    const error = await thrown(pipeline('token-classification', model));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain("Load it with pipeline('token-classification', …)");
    // The model of a pipeline has them.
    const first = await pipeline('token-classification', all);
    const again = await pipeline('token-classification', first.model);
    expect(await again('Paris')).toStrictEqual(await first('Paris'));
  });

  test('a model that is disposed of, and an aborted signal', async () => {
    const model = await AutoModel.from_pretrained(fixtureFiles('random/bert-base'));
    const signal = AbortSignal.abort(new Error('enough'));
    expect((await thrown(pipeline('feature-extraction', model, { signal }))).message).toBe('enough');
    await model.dispose();
    expect(await thrown(pipeline('feature-extraction', model))).toBeInstanceOf(DeviceError);
  });
});

test('dispose of the pipeline is that of the model', async () => {
  const model = await AutoModel.from_pretrained(fixtureFiles('random/bert-base'));
  const [one, other] = [await pipeline('feature-extraction', model), await pipeline('sentence-similarity', model)];
  await one.dispose();
  expect(await thrown(other({ source_sentence: 'Paris', sentences: ['a city'] }))).toBeInstanceOf(DeviceError);
  expect(await thrown(model({ input_ids: [[2, 3]] }))).toBeInstanceOf(DeviceError);
});

test('a tokenizer is taken with files too, and makes another space', async () => {
  const files = fixtureFiles('random/bert-base');
  const tokenizer = await tokenizerOf();
  const extractor = await pipeline('feature-extraction', files, { tokenizer });
  expect(extractor.tokenizer).toBe(tokenizer);
  const bare = await pipeline('feature-extraction', weights(files), { tokenizer });
  expect((await bare.encode_query('Paris')).data).toEqual((await extractor.encode_query('Paris')).data);
});

test('progress says that it is ready', async () => {
  const model = await AutoModel.from_pretrained(fixtureFiles('random/bert-base'));
  const told: unknown[] = [];
  await pipeline('feature-extraction', model, { progress_callback: info => told.push(info) });
  expect(told).toEqual([{ status: 'ready', task: 'feature-extraction', model: 'files' }]);
});
