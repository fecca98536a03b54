import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'vite';
import { at, root } from '../scripts/root.mjs';
import { files } from '../scripts/serve.mjs';
import { type FixtureKind, fixturesIn, givenFixtures } from '../tests/given-fixtures.ts';
import { startHub } from '../tests/hub.mjs';

/** Folders of models with expected outputs, by their addresses: those of the checkout, and those that WEBGPU_BERT_FIXTURES names. */
const fixtureFolders = [
  ...['random', 'interpreter', 'sentence'].map(name => {
    const folder = at('tests', 'fixtures', name);
    return { mount: `/fixtures/${name}/`, folder, fixtures: fixturesIn(folder) };
  }),
  ...givenFixtures().map(({ name, ...given }) => ({ mount: `/more-fixtures/${name}/`, ...given })),
];
const fixtureMounts = Object.fromEntries(fixtureFolders.map(({ mount, folder }) => [mount, folder]));

/** Models that are too large for the checkout, each named by a variable of its own; tests of those that are not there skip. */
const modelMounts: Record<string, string> = Object.fromEntries(
  Object.entries({ '/bge-small-zh/': process.env.WEBGPU_BERT_ZH, '/e5-small-v2/': process.env.WEBGPU_BERT_E5 }).flatMap(
    ([mount, folder]) => (folder ? [[mount, folder]] : []),
  ),
);

/** Every address under which a fixture lies, by its kind, and the large models that are there. */
function listing(): { fixtures: { address: string; kind: FixtureKind }[]; models: string[] } {
  const fixtures = fixtureFolders.flatMap(({ mount, fixtures }) =>
    fixtures.map(({ name, kind }) => ({ address: `${mount}${name}/`, kind })),
  );
  return { fixtures, models: Object.keys(modelMounts) };
}

/**
 * The suites as modules for pages: an entry for pages, one for Node and Deno, and a chunk for each suite and for what they share. A page
 * that loads its suite's sources one by one would ask for some hundred files first.
 */
async function buildSuites(folder: string): Promise<void> {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2022',
      outDir: folder,
      emptyOutDir: true,
      // Errors name functions and lines as they are written here.
      minify: false,
      modulePreload: false,
      rolldownOptions: {
        input: { page: at('e2e', 'site', 'page.ts'), suite: at('e2e', 'site', 'suite.ts') },
        preserveEntrySignatures: 'strict',
        // package.json says that the library's modules do nothing when they are loaded; suites register their cases.
        treeshake: false,
        // What is external is asked for in Node alone.
        external: [/^node:/],
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  });
}

/**
 * The tests' server: the suites under /suites/, the build of the library under /dist/, the models under /models/, and the fixtures under
 * /fixtures/, the last three as they lie on the disk. /hub tells the address of a second server, which gives the fixtures as the hub of
 * Hugging Face would; /listing tells what lies under the mounts above. `name` is that of the browser: servers of two at a time build apart.
 */
export async function serveTests(name: string): Promise<{ origin: string; close(): Promise<void> }> {
  const suites = at('.cache', `suites-${name}`);
  const [hub] = await Promise.all([startHub({ root: at('tests', 'fixtures') }), buildSuites(suites)]);
  const sendFile = files({
    '/suite': at('e2e', 'site', 'index.html'),
    '/strict': at('e2e', 'site', 'strict.html'),
    '/frame': at('e2e', 'site', 'frame.html'),
    '/site/': at('e2e', 'site'),
    '/suites/': suites,
    '/dist/': at('dist'),
    '/models/': at('.cache', 'models'),
    '/fixtures/': at('tests', 'fixtures'),
    ...fixtureMounts,
    ...modelMounts,
  });
  const answers = new Map([
    ['/hub', () => hub.url],
    ['/listing', () => JSON.stringify(listing())],
  ]);
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    // A frame of an opaque origin fetches even its own modules from another one.
    response.setHeader('access-control-allow-origin', '*');
    if (pathname === '/strict') response.setHeader('content-security-policy', "script-src 'self'");
    const answer = answers.get(pathname);
    if (answer) response.end(answer());
    else sendFile(request, response, () => void response.writeHead(404).end('not found'));
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: async () => {
      await hub.stop();
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}
