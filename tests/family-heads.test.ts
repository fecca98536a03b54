import { readFileSync } from 'node:fs';
import { describe, expect, it, test, vi } from 'vitest';
import * as library from '../src/index.ts';
import { AutoModelForMaskedLM, AutoModelForPreTraining, pipeline, UnsupportedError } from '../src/index.ts';
import type { HeadKind } from '../src/model/head-kind.ts';
import { encoderGraph, MODEL_TYPES, readConfig } from '../src/model/index.ts';
import { drawnConfig } from './drawn-configs.ts';
import { thrown } from './source-environment.ts';

/** Which heads a family has: those of transformers, recorded by tests/fixtures/tools/auto_heads.py. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const read = (file: string) => new Uint8Array(readFileSync(new URL(`fixtures/${file}`, import.meta.url)));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The class for each head, by family. */
type Classes = Readonly<Record<string, Readonly<Record<string, string>>>>;
const { heads: PYTHON }: { heads: Classes } = JSON.parse(new TextDecoder().decode(read('auto-heads.json')));

/** The classes in the code of the families that transformers does not have. */
const CODE: Classes = {
  jina_bert: {
    MaskedLM: 'JinaBertForMaskedLM',
    PreTraining: 'JinaBertForPreTraining',
    NextSentencePrediction: 'JinaBertForNextSentencePrediction',
    SequenceClassification: 'JinaBertForSequenceClassification',
    MultipleChoice: 'JinaBertForMultipleChoice',
    TokenClassification: 'JinaBertForTokenClassification',
    QuestionAnswering: 'JinaBertForQuestionAnswering',
  },
  // The last two are classes of transformers.js.
  neobert: {
    MaskedLM: 'NeoBERTLMHead',
    SequenceClassification: 'NeoBERTForSequenceClassification',
    TokenClassification: 'NeoBertForTokenClassification',
    QuestionAnswering: 'NeoBertForQuestionAnswering',
  },
  new: {
    MaskedLM: 'NewForMaskedLM',
    SequenceClassification: 'NewForSequenceClassification',
    MultipleChoice: 'NewForMultipleChoice',
    TokenClassification: 'NewForTokenClassification',
    QuestionAnswering: 'NewForQuestionAnswering',
  },
  // The code of jinaai/jina-embeddings-v3, whose models transformers knows as jina_embeddings_v3.
  'xlm-roberta-flash': {
    MaskedLM: 'XLMRobertaForMaskedLM',
    SequenceClassification: 'XLMRobertaForSequenceClassification',
    TokenClassification: 'XLMRobertaForTokenClassification',
  },
};

const HEADS: readonly HeadKind[] = [
  'MaskedLM',
  'PreTraining',
  'NextSentencePrediction',
  'SequenceClassification',
  'MultipleChoice',
  'TokenClassification',
  'QuestionAnswering',
];

it('every family is one of transformers, or has code of its own', () => {
  expect(Object.keys({ ...PYTHON, ...CODE }).sort()).toEqual([...MODEL_TYPES].sort());
});

describe.each(MODEL_TYPES)('%s', modelType => {
  const classes = (PYTHON[modelType] ?? CODE[modelType])!;
  // MobileBERT's masked-LM head takes no embeddings that are wider than its hidden states.
  const size = modelType === 'mobilebert' ? { embedding_size: 4 } : {};
  const config = readConfig({ ...drawnConfig(modelType, 1), ...size });

  it.each(HEADS)('%s', kind => {
    const name = classes[kind];
    if (name === undefined) {
      const load = () => encoderGraph(config, { head: { kind } });
      expect(load).toThrow(UnsupportedError);
      expect(load).toThrow(`models of the family "${modelType}" have no head for ${kind}: got AutoModelFor${kind}`);
      const others = Object.keys(classes).map(head => `AutoModelFor${head}`);
      for (const other of others) expect(load).toThrow(other);
      expect(Object.keys(library)).toEqual(expect.arrayContaining(others));
      return;
    }
    // Where AutoModelForPreTraining takes the class of AutoModelForMaskedLM it computes the same.
    const same = name === classes.MaskedLM ? 'MaskedLM' : kind;
    expect(config.headKinds[kind]).toBe(same);
    const names = (head: HeadKind) => encoderGraph(config, { head: { kind: head } }).outputs.map(output => output.name);
    expect(names(kind)).toEqual(names(same));
  });
});

test.each([
  ['dpr-QuestionEncoder', 'dpr'],
  ['gemma3_text-Model', 'gemma3_text'],
])('%s has no masked-LM head, which is said before the weights are looked at', async (folder, family) => {
  const files = { 'config.json': read(`interpreter/${folder}/config.json`), 'model.safetensors': json('no weights') };
  const error = await thrown(AutoModelForMaskedLM.from_pretrained(files));
  expect(error).toBeInstanceOf(UnsupportedError);
  expect(error.message).toContain(`the family "${family}" have no head for MaskedLM`);
  const tokenizer = {
    'tokenizer.json': read('random/bert-base/tokenizer.json'),
    'tokenizer_config.json': read('random/bert-base/tokenizer_config.json'),
  };
  const ofTask = await thrown(pipeline('fill-mask', { ...files, ...tokenizer }));
  expect(ofTask.message).toBe(error.message);
});

test('AutoModelForPreTraining of a family that is pre-trained with masked words alone gives the logits of these', async () => {
  const files = {
    'config.json': read('interpreter/distilbert-MaskedLM/config.json'),
    'model.safetensors': read('interpreter/distilbert-MaskedLM/model.safetensors'),
  };
  const inputs = { input_ids: [[1, 2, 3]], attention_mask: [[1, 1, 1]] };
  const [masked, pretraining] = await Promise.all([
    AutoModelForMaskedLM.from_pretrained(files),
    AutoModelForPreTraining.from_pretrained(files),
  ]);
  const { logits: expected } = await masked(inputs);
  const { logits: actual } = await pretraining(inputs);
  expect(actual.dims).toEqual(expected.dims);
  expect(actual.data).toEqual(expected.data);
  await Promise.all([masked.dispose(), pretraining.dispose()]);
});
