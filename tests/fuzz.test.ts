import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { WebGPUBertError } from '../src/errors.ts';
import { GPU } from './caps.ts';
import { changed, fuzzer, type Outcome } from './long/fuzz.ts';
import { load } from './long/load.ts';

const MODELS = fileURLToPath(new URL('fixtures/random/', import.meta.url));

/** The first of the mutations of `npm run test:long`, which makes 100,000. */
test('mutated models give a typed error or a right load, soon and in little memory', async () => {
  const fuzz = fuzzer(MODELS);
  const failed: Outcome[] = [];
  const results = new Map<string, number>();
  for (let seed = 1; seed <= 2500; seed++) {
    const outcome = await fuzz(seed);
    results.set(outcome.result, (results.get(outcome.result) ?? 0) + 1);
    if (outcome.failed) failed.push(outcome);
  }
  expect(failed.map(({ seed, model, what, result, message }) => ({ seed, model, what, result, message }))).toEqual([]);
  // Mutations that are all refused, or all harmless, would show nothing.
  expect(results.get('loaded')).toBeGreaterThan(500);
  expect(results.get('CheckpointError')).toBeGreaterThan(300);
  expect(results.get('SourceError')).toBeGreaterThan(300);
}, 120_000);

describe('what no dice finds', () => {
  type Change = (texts: Record<string, string>) => object;
  /** Puts a field into one of the files. */
  const field =
    (file: string, name: string, value: string): Change =>
    texts => ({ [file]: texts[file]!.replace('{', `{${JSON.stringify(name)}:${value},`) });
  const without = (texts: Record<string, string>, file: string, name: string) => {
    const { [name]: _, ...rest } = JSON.parse(texts[file]!);
    return JSON.stringify(rest);
  };
  const replaced =
    (file: string, name: string, value: string): Change =>
    texts =>
      field(file, name, value)({ ...texts, [file]: without(texts, file, name) });
  const edited =
    (file: string, edit: (json: Record<string, unknown>) => void): Change =>
    texts => {
      const json = JSON.parse(texts[file]!);
      edit(json);
      return { [file]: JSON.stringify(json) };
    };
  const deep = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
  const labels = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":"L${i}"`).join()}}`;
  const added = (count: number) =>
    JSON.stringify(
      Array.from({ length: count }, (_, i) => ({
        id: 4_000_000_000 + i,
        content: `<extra_${i}>`,
        special: i % 2 === 0,
      })),
    );

  test.each<[what: string, model: string, change: Change, result: RegExp]>([
    ['a million labels', 'bert-base', replaced('config.json', 'id2label', labels(1_000_000)), /^loaded/],
    ['ids of added tokens near 2^32', 'bert-base', replaced('tokenizer.json', 'added_tokens', added(3)), /^loaded/],
    ['20,000 added tokens', 'bert-base', replaced('tokenizer.json', 'added_tokens', added(20_000)), /^loaded/],
    [
      'a key __proto__ of config.json',
      'bert-base',
      field('config.json', '__proto__', '{"hidden_size":1e9}'),
      /^loaded/,
    ],
    [
      'a tensor __proto__',
      'bert-base',
      field('header', '__proto__', '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'),
      /^loaded/,
    ],
    ['a key twice in config.json', 'bert-base', field('config.json', 'hidden_size', '1e9'), /^loaded/],
    ['a deep list in config.json', 'bert-base', field('config.json', 'x', deep('[', ']')), /^loaded/],
    ['a deep model_type', 'bert-base', replaced('config.json', 'model_type', deep('[', ']')), /^UnsupportedError/],
    [
      'deep metadata',
      'bert-base',
      replaced('header', '__metadata__', deep('{"a":', '}').replace(':}', ':0}')),
      /^CheckpointError/,
    ],
    [
      'a deep shape',
      'bert-base',
      field('header', 'x', `{"dtype":"U8","shape":${deep('[', ']')},"data_offsets":[0,0]}`),
      /^CheckpointError/,
    ],
    [
      'deep normalizers',
      'bert-base',
      replaced(
        'tokenizer.json',
        'normalizer',
        '{"type":"Sequence","normalizers":['.repeat(20_000) + ']}'.repeat(20_000),
      ),
      /^SourceError.*type.*more than 127/,
    ],
    [
      'deep processors',
      'bert-base',
      replaced(
        'tokenizer.json',
        'post_processor',
        '{"type":"Sequence","processors":['.repeat(20_000) + ']}'.repeat(20_000),
      ),
      /^SourceError.*type.*more than 127/,
    ],
    [
      '200,000 processors',
      'bert-base',
      replaced('tokenizer.json', 'post_processor', `{"type":"Sequence","processors":[${'null,'.repeat(200_000)}null]}`),
      /^loaded/,
    ],
    [
      'a prefix of pieces that is very long',
      'roberta-masked-lm',
      edited('tokenizer.json', json =>
        Object.assign(json.model as object, { continuing_subword_prefix: 'a'.repeat(100_000) }),
      ),
      /^SourceError.*merges/,
    ],
    [
      'a suffix of words that is very long',
      'roberta-masked-lm',
      edited('tokenizer.json', json =>
        Object.assign(json.model as object, { end_of_word_suffix: 'a'.repeat(200_000) }),
      ),
      /^loaded/,
    ],
    [
      'ids of a BPE that make the keys of its pairs inexact',
      'roberta-masked-lm',
      edited('tokenizer.json', json => Object.assign((json.model as { vocab: object }).vocab, { huge: 2 ** 26 })),
      /^SourceError.*vocab\["huge"\].*ids below/,
    ],
    [
      'merges of what is no text',
      'roberta-masked-lm',
      edited('tokenizer.json', json =>
        Object.assign(json.model as object, { merges: [[{ toString: 1 }, { toString: 1 }]] }),
      ),
      /^SourceError.*merges\[0\]/,
    ],
    [
      'a class of tokenizers that is no text',
      'bert-base',
      replaced('tokenizer_config.json', 'tokenizer_class', '{"toString":1,"valueOf":1}'),
      /^loaded/,
    ],
    [
      'a type of a pre-tokenizer that is no text',
      'bert-base',
      edited('tokenizer.json', json => Object.assign(json.pre_tokenizer as object, { type: { toString: 1 } })),
      /^SourceError.*pre_tokenizer\.type/,
    ],
    [
      'a direction that is no text',
      'bert-base',
      replaced('tokenizer.json', 'truncation', '{"direction":{"toString":1}}'),
      /^loaded/,
    ],
    [
      'a decoder that strips up to 2^53 times',
      'bert-base',
      replaced(
        'tokenizer.json',
        'decoder',
        '{"type":"Strip","content":"a","start":9007199254740991,"stop":4294967296}',
      ),
      /^loaded/,
    ],
    [
      'a name of a tensor that is very long',
      'bert-base',
      field('header', 'a'.repeat(1_000_000), '[]'),
      /^CheckpointError.{1,1500}$/s,
    ],
  ])('%s', async (_, model, change, result) => {
    const files = changed(MODELS, model, change);
    const began = process.cpuUsage();
    const outcome = await load(files, { caps: GPU, format: undefined, head: undefined }).then(
      () => 'loaded',
      (error: unknown) =>
        error instanceof WebGPUBertError ? `${error.name}: ${error.message}` : String((error as Error)?.stack),
    );
    const { user, system } = process.cpuUsage(began);
    expect(outcome).toMatch(result);
    expect((user + system) / 1000).toBeLessThan(2000);
  });
});
