import { existsSync } from 'node:fs';
import { modelsFolder } from '../weights/fetch.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

/** The example page in the person's own browser: vite serves examples/search, with the model from .cache/models. */
await command(async () => {
  const step = steps(4);
  await step(...setup.packages);
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', async () => (await import('./build.mjs')).build());
  await step('page', 'examples/search, served to this machine alone', async () => {
    const folder = at('examples', 'search');
    if (!existsSync(folder)) throw new Stop('examples/search is not there', 'take the whole repository.');
    // These come with the packages, which the first step has only just installed.
    const [{ createServer }, { files }] = await Promise.all([import('vite'), import('./serve.mjs')]);
    const server = await createServer({
      root: folder,
      configFile: false,
      logLevel: 'warn',
      appType: 'mpa',
      cacheDir: at('.cache', 'vite-start'),
      optimizeDeps: { noDiscovery: true, include: [] },
      resolve: { alias: { 'webgpu-bert': at('dist', 'webgpu-bert.js') } },
      server: {
        host: '127.0.0.1',
        port: 5173,
        open: !process.env.CI,
        fs: { strict: true, allow: [folder, at('dist')] },
      },
      plugins: [
        {
          name: 'files',
          configureServer({ middlewares }) {
            middlewares.use(files({ '/dist/': at('dist'), '/models/': modelsFolder }));
          },
        },
      ],
    });
    await server.listen();
    const address = server.resolvedUrls?.local[0];
    say(`${address}  (end it with Ctrl+C)`);
    say('Chrome, Edge, Firefox 141 or later, or Safari 26: a browser with WebGPU.');
  });
});
