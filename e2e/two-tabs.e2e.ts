import { type Browser, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { chromiumOptions } from '../scripts/browsers.mjs';
import { build } from '../scripts/build.mjs';
import { at } from '../scripts/root.mjs';
import { serve } from '../scripts/serve.mjs';

/** What two pages of one origin share, while both are open: the private file system. */

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
beforeAll(async () => {
  await build();
  server = await serve({
    '/': at('examples', 'minimal', 'index.html'),
    '/dist/': at('dist'),
    '/fixtures/': at('tests', 'fixtures'),
  });
  browser = await chromium.launch(await chromiumOptions('swiftshader'));
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** What a page takes of the package. */
type Library = Pick<typeof import('../src/index.ts'), 'AutoModelForSequenceClassification'> &
  Pick<typeof import('../src/train.ts'), 'Trainer'>;

declare global {
  var library: Library;
  /** The outcome of this page's training: the names of the files of its checkpoint, or why it was refused. */
  var trained: Promise<string[] | { name: string; message: string }>;
}

/** Begins a training that saves after two steps, and holds it after the first where that is asked for. Resolves once it is held, or refused. */
const train = (page: Page, isHeld: boolean): Promise<'held' | 'over'> =>
  page.evaluate(async hold => {
    const { AutoModelForSequenceClassification, Trainer } = globalThis.library;
    const model = await AutoModelForSequenceClassification.from_pretrained(
      new URL('/fixtures/random/bert-sequence/', location.href).href,
    );
    return new Promise<'held' | 'over'>(resolve => {
      const trainer = new Trainer({
        model,
        train_dataset: [
          { input_ids: [2, 7, 9, 3], labels: 0 },
          { input_ids: [2, 8, 3], labels: 1 },
        ],
        args: { max_steps: 2, save_steps: 2, per_device_train_batch_size: 1, output_dir: 'opfs:two-tabs/letters' },
        callbacks: [
          {
            async on_step_end() {
              if (!hold) return;
              resolve('held');
              // Until the page is closed.
              await new Promise(() => undefined);
            },
          },
        ],
      });
      globalThis.trained = trainer
        .train()
        .then(async () => {
          const root = await navigator.storage.getDirectory();
          const folder = await (await root.getDirectoryHandle('two-tabs')).getDirectoryHandle('letters');
          const names: string[] = [];
          for await (const name of (await folder.getDirectoryHandle('checkpoint-2')).keys()) names.push(name);
          return names.sort();
        })
        .catch(({ name, message }: Error) => ({ name, message }))
        .finally(() => resolve('over'));
    });
  }, isHeld);

test('a folder of checkpoints is of one training at a time, in whatever tab, until its tab is closed', async () => {
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const opened = async () => {
    const page = await context.newPage();
    await page.goto(server.origin);
    await page.addScriptTag({
      type: 'module',
      content: `import { AutoModelForSequenceClassification } from '/dist/es/index.js';
        import { Trainer } from '/dist/es/train.js';
        globalThis.library = { AutoModelForSequenceClassification, Trainer };`,
    });
    await page.waitForFunction(() => 'library' in globalThis);
    return page;
  };
  const [first, second] = [await opened(), await opened()];
  const outcome = (page: Page) => page.evaluate(() => globalThis.trained);
  expect(await train(first, true)).toBe('held');
  expect(await train(second, false)).toBe('over');
  expect(await outcome(second)).toMatchObject({
    name: 'InputError',
    message: expect.stringMatching(
      /^another training writes its checkpoints into this folder now.*opfs:two-tabs\/letters/s,
    ),
  });
  // A page that is closed in the middle gives it back.
  await first.close();
  expect(await train(second, false)).toBe('over');
  expect(await outcome(second)).toEqual(
    expect.arrayContaining(['model.safetensors', 'optimizer.safetensors', 'trainer_state.json']),
  );
}, 120_000);
