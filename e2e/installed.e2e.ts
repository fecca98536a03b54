import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumOptions } from '../scripts/browsers.mjs';
import { build } from '../scripts/build.mjs';
import { packTo } from '../scripts/package.mjs';
import { install } from '../scripts/packages.mjs';
import { at } from '../scripts/root.mjs';
import { run } from '../scripts/run.mjs';
import { serve } from '../scripts/serve.mjs';
import { modelsFolder } from '../weights/fetch.mjs';
import { type Found, findDeno, findNode, type Runtime } from './runtimes/runtimes.mjs';

/**
 * What `npm pack` makes, installed by npm into projects that know nothing of this one (tests/installed): an empty Vite project, a
 * Next.js project, a page without a bundler, Node and Deno. Each embeds one text with MiniLM. The examples for Node, Deno and Chrome's
 * extensions run beside it.
 */

const source = at('tests', 'installed');
const folder = at('.cache', 'installed');
const model = join(modelsFolder, 'sentence-transformers', 'all-MiniLM-L6-v2');
const installed = join(folder, 'node_modules', 'webgpu-bert');

interface Goldens {
  readonly cases: readonly { text: string; embedding: number[] }[];
}
const { cases }: Goldens = JSON.parse(readFileSync(at('tests', 'fixtures', 'all-MiniLM-L6-v2.json'), 'utf8'));
const golden = cases.find(({ text }) => text === 'hello world')!.embedding;

/** Chooses the projects' files anew, and installs what they need and the package. @throws Stop where npm cannot. */
async function project(): Promise<void> {
  await install(source, { next: 'the package is installed beside these: mend what npm says above.' });
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  // npm replaces what is a link where it installs something, so packages are copied.
  cpSync(source, folder, { recursive: true, verbatimSymlinks: true });
  // The examples import the package by its name, so they lie where it is installed.
  for (const name of ['bulk', 'deno', 'extension', 'minimal', 'react']) {
    cpSync(at('examples', name), join(folder, 'examples', name), { recursive: true });
  }
  await build();
  const tarball = await packTo(folder);
  const npm = ['install', tarball, '--no-save', '--no-package-lock', '--prefix', folder, '--no-audit', '--no-fund'];
  const { ok, output } = await run('npm', npm, { limitMs: 300_000 });
  if (!ok) throw new Error(`npm install of the tarball failed:\n${output}`);
}

const example = (...parts: string[]) => join(folder, 'examples', ...parts);

let browser: Browser;
beforeAll(async () => {
  await project();
  browser = await chromium.launch(await chromiumOptions('swiftshader'));
}, 600_000);
afterAll(() => browser?.close());

/** The embedding that a page shows. */
async function shown(mounts: Record<string, string>): Promise<number[]> {
  const server = await serve({ ...mounts, '/model/': model });
  try {
    return await shownAt(`${server.origin}/`);
  } finally {
    await server.close();
  }
}

/** The embedding that the page at an address shows. */
async function shownAt(address: string): Promise<number[]> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', error => errors.push(error.stack ?? error.message));
  try {
    await page.goto(address);
    const text = await page.locator('output').filter({ hasText: '[' }).textContent({ timeout: 60_000 });
    return JSON.parse(text!);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${errors.join('\n')}`);
  } finally {
    await page.close();
  }
}

/** The embedding that a project's page shows where Vite's development server serves it, with no setting that the package would need. */
async function shownInDevelopment(name: string): Promise<number[]> {
  const vite: typeof import('vite') = await import(
    pathToFileURL(join(folder, 'node_modules', 'vite', 'dist', 'node', 'index.js')).href
  );
  const publicDir = join(folder, 'public');
  mkdirSync(publicDir, { recursive: true });
  rmSync(join(publicDir, 'model'), { force: true });
  symlinkSync(model, join(publicDir, 'model'), 'junction');
  const server = await vite.createServer({
    root: join(folder, name),
    configFile: false,
    logLevel: 'warn',
    // Nothing that another project or another run has left there.
    cacheDir: join(folder, `vite-${name}`),
    publicDir,
    // The projects of the tests share the packages of the folder above them.
    server: { host: '127.0.0.1', port: 0, fs: { allow: [folder] } },
  });
  try {
    await server.listen();
    return await shownAt(server.resolvedUrls!.local[0]!);
  } finally {
    await server.close();
  }
}

/** As in the suite parity: float32 through six layers. */
function expectGolden(embedding: readonly number[]): void {
  expect(embedding).toHaveLength(golden.length);
  const worst = Math.max(...embedding.map((x, i) => Math.abs(x - golden[i]!)));
  expect(worst).toBeLessThan(1e-5);
}

/** Runs a program of the projects. */
async function program(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { ok, output } = await run(process.execPath, args, { env, limitMs: 300_000 });
  if (!ok) throw new Error(output);
  return output;
}

describe('the installed package', () => {
  test('is what npm pack made: its entries are there, our sources are not', () => {
    expect(existsSync(join(installed, 'dist', 'webgpu-bert.js'))).toBe(true);
    expect(existsSync(join(installed, 'dist', 'es', 'index.js'))).toBe(true);
    expect(existsSync(join(installed, 'src'))).toBe(false);
  });

  test('is built into an empty Vite project', { timeout: 300_000 }, async () => {
    const root = join(folder, 'vite');
    const output = await program([join(folder, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', root]);
    expect(output).not.toMatch(/warn/i);
    const out = join(root, 'dist');
    expectGolden(await shown({ '/assets/': join(out, 'assets'), '/': join(out, 'index.html') }));
  });

  test.each(['vite', 'worker'])(
    "is served by Vite's development server, without a setting: tests/installed/%s",
    { timeout: 300_000 },
    async name => {
      expectGolden(await shownInDevelopment(name));
    },
  );

  describe('webgpu-bert/worker', () => {
    const root = join(folder, 'worker');
    /** The one script that is the worker's: it listens for the page, and nothing of the tasks stands in the page's own. */
    const expectApart = (out: string) => {
      const scripts = readdirSync(out).filter(name => name.endsWith('.js'));
      expect(scripts).toHaveLength(2);
      const [inWorker, onPage] = ['entailment_label', 'optimizeDeps'].map(text =>
        scripts.find(name => readFileSync(join(out, name), 'utf8').includes(text)),
      );
      expect(inWorker).toBeDefined();
      expect(onPage).toBeDefined();
      expect(inWorker).not.toBe(onPage);
    };

    test('is built by Vite, its worker apart', { timeout: 300_000 }, async () => {
      const output = await program([join(folder, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', root]);
      expect(output).not.toMatch(/warn/i);
      const out = join(root, 'dist');
      expectApart(join(out, 'assets'));
      expectGolden(await shown({ '/assets/': join(out, 'assets'), '/': join(out, 'index.html') }));
    });

    test('is built by webpack, its worker apart', { timeout: 300_000 }, async () => {
      await program([join(root, 'webpack.mjs')]);
      const out = join(root, 'webpack');
      expectApart(out);
      // The page of the Vite project, whose script has the name of webpack's.
      const page = readFileSync(join(root, 'index.html'), 'utf8').replace(
        'type="module" src="/main.js"',
        'defer src="/js/main.js"',
      );
      writeFileSync(join(out, 'index.html'), page);
      expectGolden(await shown({ '/js/': out, '/': join(out, 'index.html') }));
    });

    test('runs from a page without a bundler, as modules', { timeout: 120_000 }, async () => {
      const page = readFileSync(join(root, 'index.html'), 'utf8').replace(
        '<script ',
        `<script type="importmap">{ "imports": { "webgpu-bert/worker": "/es/worker.js" } }</script><script `,
      );
      writeFileSync(join(root, 'modules.html'), page);
      expectGolden(
        await shown({
          '/es/': join(installed, 'dist', 'es'),
          '/main.js': join(root, 'main.js'),
          '/': join(root, 'modules.html'),
        }),
      );
    });
  });

  test('is built into a Next.js project by next build', { timeout: 400_000 }, async () => {
    const root = join(folder, 'next');
    await program([join(folder, 'node_modules', 'next', 'dist', 'bin', 'next'), 'build', root], {
      NEXT_TELEMETRY_DISABLED: '1',
      NODE_ENV: 'production',
    });
    const out = join(root, 'out');
    expectGolden(await shown({ '/_next/': join(out, '_next'), '/': join(out, 'index.html') }));
  });

  test('runs from a page without a bundler, as one file', { timeout: 120_000 }, async () => {
    const mounts = { '/webgpu-bert.js': join(installed, 'dist', 'webgpu-bert.js') };
    expectGolden(await shown({ ...mounts, '/': join(folder, 'page', 'index.html') }));
  });
});

/** Tests in a runtime, or one that says why there are none. */
function describeIn(name: string, found: Found, tests: (runtime: Runtime) => void): void {
  if ('why' in found) test.skip(`the installed package in ${name}: ${found.why}`, () => undefined);
  else describe(`the installed package in ${name}`, () => tests(found));
}

const lastLine = (text: string) => text.trim().split('\n').at(-1)!;

describeIn('Deno', await findDeno(), runtime => {
  test('embeds with a model in a directory', { timeout: 120_000 }, async () => {
    expectGolden(JSON.parse(lastLine(await runtime.print(join(folder, 'runtime', 'embed.mjs'), [model]))));
  });

  test('examples/deno', { timeout: 120_000 }, async () => {
    expectGolden(JSON.parse(lastLine(await runtime.print(example('deno', 'embed.ts'), [model, 'hello world']))));
  });
});

describeIn('Node', await findNode(), runtime => {
  test('embeds with a model in a directory', { timeout: 120_000 }, async () => {
    expectGolden(JSON.parse(lastLine(await runtime.print(join(folder, 'runtime', 'embed.mjs'), [model]))));
  });

  describe('examples/bulk', () => {
    const script = example('bulk', 'bulk.mjs');
    const [input, output] = [join(folder, 'texts.jsonl'), join(folder, 'vectors.jsonl')];
    const lines = Array.from({ length: 23 }, (_, i) => JSON.stringify({ text: `text number ${i}` }));
    lines[4] = '{ this is no JSON';
    lines[7] = JSON.stringify('hello world');
    lines[11] = JSON.stringify({ title: 'a line without a text' });
    const bulk = (to: string, ...args: string[]) =>
      runtime.print(script, ['--model', model, '--input', input, '--output', to, '--batch', '5', ...args]);
    interface Line {
      readonly index: number;
      readonly embedding?: number[];
      readonly error?: string;
    }
    const read = (path: string): Line[] =>
      readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));

    beforeAll(() => {
      writeFileSync(input, lines.join('\r\n'));
    });

    test('embeds every line in order, and names those without a text', { timeout: 120_000 }, async () => {
      expect(await bulk(output)).toContain('done: 21 texts, 2 lines without text');
      const made = read(output);
      expect(made.map(({ index }) => index)).toEqual(lines.map((_, i) => i));
      expect(made.filter(({ error }) => error).map(({ index }) => index)).toEqual([4, 11]);
      expectGolden(made[7]!.embedding!);
    });

    test('goes on where a run was broken off, in the middle of a line too', { timeout: 120_000 }, async () => {
      const whole = readFileSync(output);
      const cut = join(folder, 'cut.jsonl');
      await bulk(cut);
      const before = readFileSync(cut);
      expect(before).toEqual(whole);
      truncateSync(cut, Math.floor(whole.length * 0.6));
      expect(await bulk(cut)).toMatch(/goes on behind line \d+/);
      expect(readFileSync(cut)).toEqual(whole);
      expect(await bulk(cut)).toContain('done: 0 texts');
      expect(readFileSync(cut)).toEqual(whole);
    });

    test('shards are the whole, line by line', { timeout: 120_000 }, async () => {
      const shards = [0, 1].map(i => join(folder, `shard-${i}.jsonl`));
      for (const [i, shard] of shards.entries()) await bulk(shard, '--shard', `${i}/2`);
      const together = shards.flatMap(read).sort((a, b) => a.index - b.index);
      expect(together).toEqual(read(output));
    });

    test('refuses to mix what was made otherwise, and says what is wrong', { timeout: 120_000 }, async () => {
      await expect(bulk(output, '--pooling', 'cls')).rejects.toThrow('was made otherwise');
      await expect(bulk(output, '--shard', '3/2')).rejects.toThrow('expected I/N');
      await expect(bulk(join(folder, 'no.jsonl'), '--pooling', 'median')).rejects.toThrow(/median/);
      await expect(bulk(join(folder, 'no.jsonl'), '--shrad', '0/2')).rejects.toThrow(
        /^Unknown option '--shrad'.*\nnode bulk/,
      );
      await expect(bulk(input)).rejects.toThrow('is the input: name another file');
      expect(read(output)).toHaveLength(lines.length);
    });
  });
});

describe('examples/react', () => {
  const root = join(folder, 'react');
  /** How many devices are alive: of every one made, and every one destroyed. */
  const counting = () => {
    const count = { made: 0, destroyed: 0 };
    Object.assign(globalThis, { deviceCount: count });
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      count.made += 1;
      device.lost.then(() => {
        count.destroyed += 1;
      });
      return device;
    };
  };
  const alive = () => {
    const { made, destroyed } = (globalThis as unknown as { deviceCount: { made: number; destroyed: number } })
      .deviceCount;
    return made - destroyed;
  };

  test('has types that fit React and the package', { timeout: 120_000 }, async () => {
    await program([at('node_modules', 'typescript', 'bin', 'tsc'), '-p', example('react')]);
  });

  test('loads once in StrictMode, answers as one types, and gives the GPU back', { timeout: 300_000 }, async () => {
    // A development build: in production StrictMode does nothing.
    const vite = join(folder, 'node_modules', 'vite', 'bin', 'vite.js');
    await program([vite, 'build', root, '--mode', 'development'], { NODE_ENV: 'development' });
    const out = join(root, 'dist');
    const server = await serve({ '/model/': model, '/assets/': join(out, 'assets'), '/': join(out, 'index.html') });
    const page = await browser.newPage();
    try {
      await page.addInitScript(counting);
      await page.goto(`${server.origin}/`);
      const output = page.locator('output[aria-busy=false]');
      await output.filter({ hasText: /^0\.\d{3}$/ }).waitFor({ timeout: 60_000 });
      expect(Number(await output.textContent())).toBeGreaterThan(0.5);
      await expect.poll(() => page.evaluate(alive)).toBe(1);
      const second = page.getByLabel('Another');
      await second.fill('');
      await second.pressSequentially('The cat sleeps on the sofa.', { delay: 5 });
      await output.filter({ hasText: '1.000' }).waitFor();
      await page.evaluate(() => (globalThis as unknown as { unmount(): void }).unmount());
      await expect.poll(() => page.evaluate(alive)).toBe(0);
    } finally {
      await page.close();
      await server.close();
    }
  });
});

describe('examples/extension', () => {
  const texts = ['The stock market fell today.', 'A kitten is asleep on the sofa.', 'Water boils at 100 degrees.'];

  /**
   * Asks in the form of the popup, in a tab of its own beside a page with the texts, on a machine with an adapter or without one. A popup
   * may read the page in view, because a person has clicked on its button; no test can click there, so the extension may read all pages, and
   * is told which one is in view. @returns what `look` finds
   */
  async function asked<T>(
    adapter: 'swiftshader' | 'none',
    look: (popup: Page, article: Page) => Promise<T>,
  ): Promise<T> {
    const extension = example('extension');
    mkdirSync(join(extension, 'lib'), { recursive: true });
    cpSync(join(installed, 'dist', 'webgpu-bert.js'), join(extension, 'lib', 'webgpu-bert.js'));
    // An extension may bring its model, and asks nobody then.
    cpSync(model, join(extension, 'model'), { recursive: true });
    const manifest = JSON.parse(readFileSync(at('examples', 'extension', 'manifest.json'), 'utf8'));
    writeFileSync(join(extension, 'manifest.json'), JSON.stringify({ ...manifest, host_permissions: ['http://*/*'] }));
    const file = join(folder, 'article.html');
    writeFileSync(file, `<!doctype html><title>Article</title>${texts.map(text => `<p>${text}</p>`).join('')}`);
    const server = await serve({ '/': file });
    const options = await chromiumOptions(adapter);
    const args = [...options.args, `--disable-extensions-except=${extension}`, `--load-extension=${extension}`];
    const context = await chromium.launchPersistentContext('', { ...options, args, channel: 'chromium' });
    try {
      const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
      const article = await context.newPage();
      await article.goto(`${server.origin}/`);
      const popup = await context.newPage();
      await popup.goto(`chrome-extension://${new URL(worker.url()).host}/popup.html`);
      await popup.evaluate(async () => {
        const { chrome } = globalThis as unknown as {
          chrome: {
            storage: { local: { set(values: object): Promise<void> } };
            tabs: { query(which: object): Promise<object[]> };
          };
        };
        await chrome.storage.local.set({ model: './model/' });
        const found = await chrome.tabs.query({ url: 'http://*/*' });
        chrome.tabs.query = async () => found;
      });
      await popup.getByLabel('Find in this page').fill('a sleeping cat');
      await popup.getByRole('button', { name: 'Find' }).click();
      return await look(popup, article);
    } finally {
      await context.close();
      await server.close();
    }
  }

  test('ranks the paragraphs of a page in its offscreen document, and shows one', { timeout: 120_000 }, async () => {
    await asked('swiftshader', async (popup, article) => {
      const found = popup.getByRole('listitem');
      await found.first().waitFor({ timeout: 90_000 });
      const lines = await found.allTextContents();
      expect(lines).toHaveLength(texts.length);
      expect(lines[0]).toContain('A kitten is asleep');
      const scores = lines.map(line => Number(line.trim().split(' ')[0]));
      expect(scores[0]).toBeGreaterThan(0.5);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      expect(await popup.getByRole('status').textContent()).toBe('');
      await found.first().getByRole('button').click();
      const shown = () => document.getAnimations().map(({ effect }) => (effect as KeyframeEffect).target?.textContent);
      await expect.poll(() => article.evaluate(shown)).toEqual([texts[1]]);
    });
  });

  test('says why nothing is found where there is no GPU', { timeout: 120_000 }, async () => {
    await asked('none', popup =>
      popup
        .getByRole('status')
        .filter({ hasText: /^WebGPU found no usable graphics adapter\. Switch on hardware acceleration/ })
        .waitFor({ timeout: 60_000 }),
    );
  });
});

describe('examples/minimal', () => {
  const minimal = example('minimal', 'index.html');

  test('ranks sentences as one types', { timeout: 120_000 }, async () => {
    const server = await serve({
      '/model/': model,
      '/webgpu-bert.js': join(installed, 'dist', 'webgpu-bert.js'),
      '/': minimal,
    });
    const tab = await browser.newPage();
    try {
      await tab.goto(`${server.origin}/?model=/model/`);
      await tab.getByRole('listitem').first().filter({ hasText: 'kitten' }).waitFor({ timeout: 60_000 });
      await tab.getByRole('searchbox').fill('money and banks');
      await tab.getByRole('listitem').first().filter({ hasText: 'Interest rates' }).waitFor();
      expect(await tab.locator('#status').textContent()).toBe('');
      const scores = (await tab.locator('li span').allTextContents()).map(Number);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
    } finally {
      await tab.close();
      await server.close();
    }
  });

  /** Opens the page and waits for what its status says. */
  const status = (text: RegExp) => async (address: string) => {
    const tab = await browser.newPage();
    try {
      await tab.goto(address);
      await tab.locator('#status').filter({ hasText: text }).waitFor({ timeout: 30_000 });
    } finally {
      await tab.close();
    }
  };

  test('says how it is to be opened where it is opened as a file', { timeout: 60_000 }, async () => {
    await status(/static server/)(pathToFileURL(minimal).href);
  });

  test('says which file is missing beside it', { timeout: 60_000 }, async () => {
    const server = await serve({ '/': minimal });
    try {
      await status(/webgpu-bert\.js/)(`${server.origin}/`);
    } finally {
      await server.close();
    }
  });
});
