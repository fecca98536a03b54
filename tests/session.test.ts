import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type CallableModel, PreTrainedModel } from '../src/api/model.ts';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import type { Engine } from '../src/engine/engine.ts';
import { NO_SENTENCE } from '../src/engine/sentence-files.ts';
import { settingsOf } from '../src/engine/sentence-settings.ts';
import { CheckpointError, InputError } from '../src/errors.ts';
import { readConfig } from '../src/model/config.ts';
import { FeatureExtraction } from '../src/tasks/feature-extraction.ts';
import { FillMask } from '../src/tasks/fill-mask.ts';
import type { SessionParts } from '../src/tasks/session.ts';
import { TextClassification } from '../src/tasks/text-classification.ts';

const read = (file: string) =>
  JSON.parse(readFileSync(new URL(`fixtures/random/bert-base/${file}`, import.meta.url), 'utf8'));

/** A pipeline without a GPU: every output of a sequence is zeros. */
function parts(fields: object): SessionParts {
  const config = readConfig({ ...read('config.json'), ...fields });
  const engine = {
    config,
    head: undefined,
    host: new Map(),
    async run(sequences, _, { done }) {
      for (const sequence of sequences) {
        const columns = config.hiddenSize;
        const data = new Float32Array(sequence.ids.length * columns);
        const outputs = [{ name: 'last_hidden_state', layer: undefined, first: 0, columns, data }];
        done([{ sequence, outputs }]);
      }
    },
  } as Partial<Engine> as Engine;
  const tokenizer = new PreTrainedTokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
  const readSentence = { settings: () => settingsOf({}, 'SentenceTransformer'), modules: () => undefined };
  const origin = { name: 'a model', commit: undefined, dtype: 'fp32' };
  const model = new PreTrainedModel(engine, origin) as CallableModel;
  const sentenceFiles = new Set<string>();
  return { task: 'a test', model, tokenizer, sentence: NO_SENTENCE, sentenceFiles, readSentence, origin };
}

describe('a tokenizer with more tokens than the model has embeddings', () => {
  const { tokenizer } = parts({});
  const count = tokenizer.text.vocabSize;
  const encoding = tokenizer.text.encode('the fox');
  const greatest = Math.max(...encoding.ids);

  test('is no obstacle where no such token occurs', async () => {
    expect(greatest).toBeLessThan(count - 1);
    const extract = new FeatureExtraction(parts({ vocab_size: greatest + 1 }));
    expect((await extract._call('the fox')).dims[1]).toBe(encoding.ids.length);
  });

  test('a token without an embedding is named, with both counts', async () => {
    const extract = new FeatureExtraction(parts({ vocab_size: greatest }));
    const error = await extract._call(['', 'the fox']).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InputError);
    const token = JSON.stringify(encoding.tokens[encoding.ids.indexOf(greatest)]);
    expect((error as Error).message).toBe(
      `the model has no embedding for the token ${token}: got id ${greatest} of a tokenizer with ${count} tokens, ` +
        `expected an id below ${greatest}, the vocab_size of config.json. ` +
        'Leave that token out of the text, or take the tokenizer that belongs to this model.',
    );
  });

  test('nor may it be a target of fill-mask', async () => {
    const targets = [encoding.tokens[encoding.ids.indexOf(greatest)]!];
    const call = new FillMask(parts({ vocab_size: greatest }))._call('a [MASK]', { targets });
    await expect(call).rejects.toThrow(InputError);
    await expect(call).rejects.toThrow(/no embedding for the token/);
  });
});

test('a gap in id2label stops text-classification, not feature-extraction', async () => {
  const given = parts({ id2label: { 0: 'x', 2: 'z' } });
  expect((await new FeatureExtraction(given)._call('the fox')).dims.length).toBe(3);
  const call = new TextClassification(given)._call('the fox');
  await expect(call).rejects.toThrow(CheckpointError);
  await expect(call).rejects.toThrow(/id2label.*a name for class 1/);
});
