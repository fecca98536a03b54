import { expect, test } from 'vitest';
import { env } from '../src/api/index.ts';
import { collected } from '../src/checkpoint/source/bytes.ts';
import { openSource } from '../src/checkpoint/source/index.ts';
import { SourceError } from '../src/errors.ts';
import { savedTraining } from '../src/training/checkpoint.ts';
import { CheckpointFolders, filesOfFolder, removeOldest } from '../src/training/checkpoint-folders.ts';
import { FakeDirectory } from './fake-directory.ts';
import { thrown } from './source-environment.ts';

/** Folders of checkpoints in a folder in memory: torn ones, and files that another page removes. */

const STATE = new File(['{}'], 'trainer_state.json');

async function opened(directory: FakeDirectory) {
  const folders = await CheckpointFolders.open(directory.handle());
  folders.close();
  return folders;
}

const entries = async (directory: FakeDirectory) => {
  const names: string[] = [];
  for await (const name of directory.keys()) names.push(name);
  return names.sort();
};

/** A page was closed after it had made the last file, and before anything was in it. */
async function tear(directory: FakeDirectory, name: string, file: string) {
  await (await directory.getDirectoryHandle(name, { create: true })).getFileHandle(file, { create: true });
}

test('a checkpoint whose last file is empty is none, and is removed when the next one is there', async () => {
  const directory = new FakeDirectory();
  const folders = await opened(directory);
  await folders.write('checkpoint-2', [STATE]);
  await tear(directory, 'checkpoint-4', 'trainer_state.json');
  // Of somebody else, perhaps: no training has begun a checkpoint there.
  await tear(directory, 'checkpoint-6', 'model.safetensors');
  await tear(directory, 'checkpoint-mine', 'model.safetensors');
  await directory.getFileHandle('checkpoint-8', { create: true });
  expect(await folders.list()).toEqual([{ name: 'checkpoint-2', step: 2 }]);
  await folders.write('checkpoint-10', [STATE]);
  await removeOldest(folders, { name: 'checkpoint-10', best: null, own: new Set(), limit: undefined });
  // What is no folder, or has another name, is none of a training's.
  const left = ['checkpoint-10', 'checkpoint-2', 'checkpoint-6', 'checkpoint-8', 'checkpoint-mine'];
  expect(await entries(directory)).toEqual(left);
});

test.each(['model.safetensors', 'trainer_state.json'])(
  'a checkpoint that is cut off while %s is written is removed when the next one is there',
  async file => {
    const directory = new FakeDirectory();
    const folders = await opened(directory);
    directory.onWrite = name => {
      if (name === file) throw new DOMException('the page is closed', 'AbortError');
    };
    await thrown(folders.write('checkpoint-2', [new File(['weights'], 'model.safetensors'), STATE]));
    directory.onWrite = undefined;
    expect(await folders.list()).toEqual([]);
    await folders.removeTorn();
    expect(await entries(directory)).toEqual([]);
  },
);

test('a checkpoint that cannot be read now is neither gone on from nor removed', async () => {
  const directory = new FakeDirectory();
  const folders = await opened(directory);
  await folders.write('checkpoint-2', [STATE]);
  const folder = await directory.getDirectoryHandle('checkpoint-2');
  folder.getFileHandle = () => Promise.reject(new DOMException('busy', 'NotReadableError'));
  expect(await folders.list()).toEqual([]);
  await folders.removeTorn();
  expect(await entries(directory)).toEqual(['checkpoint-2']);
});

/** A file that is removed once somebody has it. */
function removed(name: string): File {
  const gone = () => new DOMException('removed meanwhile', 'NotFoundError');
  return Object.assign(new File(['{}'], name), {
    text: () => Promise.reject(gone()),
    stream: () => new ReadableStream({ pull: controller => controller.error(gone()) }),
  });
}

test('a file that is removed while it is read is a SourceError', async () => {
  const directory = new FakeDirectory('checkpoint-2');
  (await directory.getFileHandle('trainer_state.json', { create: true })).getFile = async () =>
    removed('trainer_state.json');
  const error = await thrown(savedTraining(directory.handle(), undefined));
  expect(error).toBeInstanceOf(SourceError);
  expect(error.message).toMatch(/trainer_state\.json/);
  const source = openSource([removed('model.safetensors')], {}, env);
  const ofWeights = await thrown(source.open('model.safetensors').then(file => collected(file!.bytes)));
  expect(ofWeights).toBeInstanceOf(SourceError);
  expect(ofWeights.message).toMatch(/model\.safetensors could not be read/);
});

test('a folder that is removed while it is listed is a SourceError', async () => {
  const directory = new FakeDirectory('checkpoint-2');
  const gone = async function* (): AsyncIterable<never> {
    yield* [];
    throw new DOMException('removed meanwhile', 'NotFoundError');
  };
  Object.assign(directory, { values: gone, keys: gone });
  expect(await thrown(filesOfFolder(directory.handle()))).toBeInstanceOf(SourceError);
  expect(await thrown((await opened(directory)).list())).toBeInstanceOf(SourceError);
});
