import type { PretrainedOptions } from '../../src/index.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { BERT, library, ownDevice } from '../library.ts';

/** Models in directories, as Node and Deno load them: what pages do not have. */

const { env, pipeline, SourceError } = library;
const text = 'The cat sleeps.';
const folder = new URL('tests/fixtures/random/', `${globalThis.testRoot}/`);
const { fileURLToPath } = process.getBuiltinModule('node:url');
const { relative } = process.getBuiltinModule('node:path');

async function embedded(from: string | URL, options: PretrainedOptions = {}) {
  const extractor = await pipeline('feature-extraction', from, options);
  try {
    return await extractor(text, { pooling: 'mean', normalize: true });
  } finally {
    await extractor.dispose();
  }
}

const path = fileURLToPath(new URL('bert-base/', folder));
const places: Record<string, string | URL> = {
  'an absolute path': path,
  'a path from the working directory': `./${relative(process.cwd(), path)}/`,
  'a file: URL': new URL('bert-base/', folder),
};
for (const [name, place] of Object.entries(places)) {
  check(`${name} gives the bits that the same files give over HTTP`, async () => {
    expectSameBits(await embedded(place), await embedded(BERT), name);
  });
}

check('an id is looked for under env.localModelPath, which is allowed here by itself', async () => {
  expect(env.allowLocalModels, 'env.allowLocalModels');
  const before = env.localModelPath;
  env.localModelPath = fileURLToPath(folder);
  try {
    // Else a file that is not there, and need not be, is looked for on the hub.
    expectSameBits(await embedded('bert-base', { local_files_only: true }), await embedded(path), 'an id');
  } finally {
    env.localModelPath = before;
  }
});

check('a directory that is not there is a SourceError with its path', async () => {
  const error = await expectThrows(() => embedded('./no-such-model/'), 'a missing directory');
  expect(error instanceof SourceError && error.message.includes('no-such-model'), `got ${error}`);
});

check("a device of the caller's is used and left alive", async () => {
  const device = await ownDevice();
  const extractor = await pipeline('feature-extraction', path, { device });
  expectEqual((await extractor(text, { pooling: 'mean' })).dims, [1, 48], 'dims');
  await extractor.dispose();
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_SRC });
  buffer.destroy();
  device.destroy();
});
