import { expect, test } from 'vitest';
import { inFolder } from '../src/checkpoint/source/folder.ts';
import type { ModelFile, ModelSource } from '../src/checkpoint/source/types.ts';
import { streamedFile } from './checkpoint-bytes.ts';
import { thrown } from './source-environment.ts';

/** A source of JSON files, whose value is the path, and of streams; what was asked for and what was cancelled. */
function counted(files: readonly string[]) {
  const asked: string[] = [];
  const cancelled: string[] = [];
  const find = (file: string, optional = false) => {
    asked.push(file);
    if (files.includes(file)) return true;
    if (optional) return false;
    throw new Error(`no ${file}`);
  };
  const source: ModelSource = {
    name: 'counted',
    json: async (file, options) => (find(file, options?.optional) ? file : undefined),
    open: async (file, options): Promise<ModelFile | undefined> => {
      if (!find(file, options?.optional)) return undefined;
      const stream = new ReadableStream<Uint8Array>({ cancel: () => void cancelled.push(file) });
      return streamedFile(stream, file.length);
    },
  };
  return { source, asked, cancelled };
}

test('the folder of the model: asked for at once, and once', async () => {
  const { source, asked } = counted(['config.json', 'model.safetensors']);
  let tell!: (folder: string) => void;
  const files = inFolder(source, new Promise(resolve => (tell = resolve)));
  const all = Promise.all([
    files.json('config.json'),
    files.open('model.safetensors'),
    files.open('a', { optional: true }),
  ]);
  expect(asked).toEqual(['config.json', 'model.safetensors', 'a']);
  tell('');
  const [json, file, none] = await all;
  expect([json, file?.size, none, files.name]).toEqual(['config.json', 17, undefined, 'counted']);
  expect(asked.length).toBe(3);
  expect((await thrown(files.json('b'))).message).toBe('no b');
});

test('another folder: what came of the first is dropped', async () => {
  const { source, asked, cancelled } = counted([
    'config.json',
    'model.safetensors',
    '0_T/config.json',
    '0_T/model.safetensors',
  ]);
  const files = inFolder(source, Promise.resolve('0_T'));
  expect(await files.json('config.json')).toBe('0_T/config.json');
  expect((await files.open('model.safetensors'))?.size).toBe('0_T/model.safetensors'.length);
  expect(await files.json('tokenizer.json', { optional: true })).toBeUndefined();
  expect((await thrown(files.json('vocab.txt'))).message).toBe('no 0_T/vocab.txt');
  expect(cancelled).toEqual(['model.safetensors']);
  expect(asked.length).toBe(8);
});
