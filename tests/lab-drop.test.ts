import { expect, test, vi } from 'vitest';
import { hasCheckpoint } from '../examples/lab/shell/drop.ts';

/** What a drop on the lab's page is taken for. */

vi.mock('webgpu-bert', () => ({ InputError: Error }));

test.each([
  ['a folder', ['mine/config.json', 'mine/model.safetensors', 'mine/tokenizer.json']],
  ['weights in parts', ['mine/config.json', 'mine/model-00001-of-00002.safetensors']],
  ['files without a folder', ['config.json', 'model.safetensors']],
  [
    'a module that has its own folder',
    ['mine/modules.json', 'mine/0_Transformer/config.json', 'mine/0_Transformer/model.safetensors'],
  ],
  ['weights below the configuration', ['mine/config.json', 'mine/weights/model.safetensors']],
])('a model: %s', (_, paths) => expect(hasCheckpoint(paths)).toBe(true));

test.each([
  ['notes beside settings of some program', ['notes/a.md', 'notes/.editor/config.json']],
  ['settings in another folder than weights', ['notes/settings/config.json', 'notes/old/model.safetensors']],
  ['a file whose name only ends like it', ['notes/my-config.json', 'notes/model.safetensors']],
])('no model: %s', (_, paths) => expect(hasCheckpoint(paths)).toBe(false));
