import { createServer } from 'vite';
import { at, root } from '../scripts/root.mjs';
import { files } from '../scripts/serve.mjs';
import { startHub } from '../tests/hub.mjs';

/**
 * The tests' server: sources as modules (vite, nothing bundled), the build under /dist/, the models under /models/, and
 * the fixtures under /fixtures/, the last three as they lie on the disk. /hub tells the address of a second server, which
 * gives the fixtures as the hub of Hugging Face would.
 */
export async function serveTests(): Promise<{ origin: string; close(): Promise<void> }> {
  const hub = await startHub({ root: at('tests', 'fixtures') });
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    appType: 'mpa',
    cacheDir: at('.cache', 'vite'),
    // Modules are served one by one as they are: nothing to discover, so no reload in the middle of a test.
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: '127.0.0.1', port: 0, hmr: false, ws: false, watch: null, fs: { strict: true, allow: [root] } },
    plugins: [
      {
        name: 'files',
        configureServer({ middlewares }) {
          middlewares.use('/hub', (_, response) => void response.end(hub.url));
          middlewares.use('/strict', (_, response, next) => {
            response.setHeader('content-security-policy', "script-src 'self'");
            next();
          });
          middlewares.use(
            files({
              // As they lie there, for vite would put its reloading client in.
              '/suite': at('e2e', 'site', 'index.html'),
              '/strict': at('e2e', 'site', 'strict.html'),
              '/site/': at('e2e', 'site'),
              '/dist/': at('dist'),
              '/models/': at('.cache', 'models'),
              '/fixtures/': at('tests', 'fixtures'),
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
