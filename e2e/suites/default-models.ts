import { check, expect, expectEqual } from '../harness.ts';
import { fetchFiles, library, ownDevice } from '../library.ts';

/** The default models whose repositories have a vocabulary and no tokenizer.json, with small random weights in their place. */

const { env, pipeline } = library;
const { fetch: plainFetch } = env;
const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

/** Serves the files of a fixture under the address of a model of the hub, its tokenizer.json as vocab.txt. */
async function withModel(id: string, fixture: string, config: object, body: () => Promise<void>): Promise<string[]> {
  const files = await fetchFiles(fixture);
  const { model } = JSON.parse(new TextDecoder().decode(files['tokenizer.json'])) as {
    model: { vocab: Record<string, number> };
  };
  const tokens = Object.entries(model.vocab).sort(([, a], [, b]) => a - b);
  const served: Record<string, BodyInit | undefined> = {
    'config.json': files['config.json'],
    'model.safetensors': files['model.safetensors'],
    'tokenizer_config.json': text(config),
    'vocab.txt': tokens.map(([token]) => `${token}\n`).join(''),
  };
  const asked: string[] = [];
  env.fetch = async input => {
    const file = input.split(`/${id}/resolve/main/`)[1];
    if (file !== undefined) asked.push(file);
    const content = file === undefined ? undefined : served[file];
    return content === undefined ? new Response('not found', { status: 404 }) : new Response(content);
  };
  env.allowLocalModels = false;
  try {
    await body();
  } finally {
    env.fetch = plainFetch;
    env.allowLocalModels = true;
  }
  return asked;
}

const CASES = [
  ['text-classification', 'distilbert/distilbert-base-uncased-finetuned-sst-2-english', 'distilbert-sequence'],
  ['token-classification', 'dslim/bert-base-NER', 'bert-token'],
] as const;

for (const [task, id, name] of CASES) {
  check(`${task} with its default model`, async log => {
    const device = await ownDevice();
    const fixture = `/fixtures/random/${name}/`;
    const options = task === 'token-classification' ? { ignore_labels: ['none'] } : { top_k: null };
    const texts = ['Paris is the capital of France.', 'naïve [MASK] 北京'];
    const run = async (model: string | null) => {
      const loaded = await pipeline(task, model, { device });
      const call = loaded as unknown as (texts: string[], options: object) => Promise<object>;
      const answer = await call(texts, options);
      await loaded.dispose();
      return answer;
    };
    const expected = await run(fixture);
    let found: unknown;
    const config = { do_lower_case: true, model_max_length: 64 };
    const asked = await withModel(id, fixture, config, async () => {
      found = await run(null);
    });
    expectEqual(found, expected, 'the answers with vocab.txt and with tokenizer.json');
    expect(asked.includes('vocab.txt') && !asked.includes('vocab.json'), `asked for ${asked.join(', ')}`);
    expectEqual(asked.filter(file => file === 'config.json').length, 1, 'requests for config.json');
    log(`asked for ${asked.join(', ')}`);
    device.destroy();
  });
}

check('token-classification of given words', async () => {
  const device = await ownDevice();
  const ner = await pipeline('token-classification', '/fixtures/random/bert-token/', { device });
  const words = ['Anna', 'lives', 'in', 'Rome', '.'];
  const everything = { ignore_labels: ['none'] };
  const [given] = await ner(words, { ...everything, is_split_into_words: true });
  expectEqual(given, await ner(words.join(' '), everything), 'words, and the text that they are of');
  const several = await ner([words, ['Rome', '😀x']], { ...everything, is_split_into_words: true, delimiter: '' });
  expectEqual(several.length, 2, 'answers');
  const at = several[1]!.map(({ start, end }) => 'Rome😀x'.slice(start, end)).join('');
  expectEqual(at, 'Rome😀x', 'what the entities stand for');
  expectEqual([...several.map(({ truncated }) => truncated)], [false, false], 'truncated');
  await ner.dispose();
  device.destroy();
});
