import { createServer } from 'vite';
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
 * The tests' server: sources as modules (vite, nothing bundled), the build under /dist/, the models under /models/, and
 * the fixtures under /fixtures/, the last three as they lie on the disk. /hub tells the address of a second server, which
 * gives the fixtures as the hub of Hugging Face would; /listing tells what lies under the mounts above. `name` is that of the browser: servers
 * of two at a time keep what they cache apart.
 */
export async function serveTests(name: string): Promise<{ origin: string; close(): Promise<void> }> {
  const hub = await startHub({ root: at('tests', 'fixtures') });
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    appType: 'mpa',
    cacheDir: at('.cache', `vite-${name}`),
    // Modules are served one by one as they are: nothing to discover, so no reload in the middle of a test.
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: '127.0.0.1', port: 0, hmr: false, ws: false, watch: null, fs: { strict: true, allow: [root] } },
    plugins: [
      {
        name: 'files',
        configureServer({ middlewares }) {
          // A frame of an opaque origin fetches even its own modules from another one.
          middlewares.use((_, response, next) => {
            response.setHeader('access-control-allow-origin', '*');
            next();
          });
          middlewares.use('/hub', (_, response) => void response.end(hub.url));
          middlewares.use('/listing', (_, response) => void response.end(JSON.stringify(listing())));
          middlewares.use('/strict', (_, response, next) => {
            response.setHeader('content-security-policy', "script-src 'self'");
            next();
          });
          middlewares.use(
            files({
              // As they lie there, for vite would put its reloading client in.
              '/suite': at('e2e', 'site', 'index.html'),
              '/strict': at('e2e', 'site', 'strict.html'),
              '/frame': at('e2e', 'site', 'frame.html'),
              '/site/': at('e2e', 'site'),
              '/dist/': at('dist'),
              '/models/': at('.cache', 'models'),
              '/fixtures/': at('tests', 'fixtures'),
              ...fixtureMounts,
              ...modelMounts,
            }),
          );
        },
      },
    ],
  });
  await server.listen();
  const address = server.httpServer?.address();
  if (!address || typeof address === 'string') throw new Error('the test server has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close: async () => {
      await hub.stop();
      await server.close();
    },
  };
}
