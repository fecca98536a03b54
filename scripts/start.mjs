import { existsSync } from 'node:fs';
import { modelsFolder } from '../weights/fetch.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

/**
 * The lab in the person's own browser: its production build, with the model from .cache/models. The older page, examples/search, is
 * below /search/, served by Vite from its sources.
 */
await command(async () => {
  const step = steps(5);
  await step(...setup.packages);
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', async () => (await import('./build.mjs')).build());
  await step('lab', 'examples/lab, into .cache/lab', async () => (await import('./lab.mjs')).buildLab());
  await step('page', 'served to this machine alone', async () => {
    const folder = at('examples', 'search');
    if (!existsSync(folder)) throw new Stop('examples/search is not there', 'take the whole repository.');
    // These come with the packages, which the first step has only just installed.
    const [{ createServer }, { files }, { labMounts }] = await Promise.all([
      import('vite'),
      import('./serve.mjs'),
      import('./lab.mjs'),
    ]);
    const server = await createServer({
      root: folder,
      base: '/search/',
      configFile: false,
      logLevel: 'warn',
      appType: 'mpa',
      cacheDir: at('.cache', 'vite-start'),
      optimizeDeps: { noDiscovery: true, include: [] },
      resolve: { alias: { 'webgpu-bert': at('dist', 'webgpu-bert.js') } },
      server: {
        host: '127.0.0.1',
        port: 5173,
        open: process.env.CI ? false : '/',
        fs: { strict: true, allow: [folder, at('dist')] },
      },
      plugins: [
        {
          name: 'files',
          configureServer({ middlewares }) {
            middlewares.use(files({ ...labMounts(modelsFolder), '/dist/': at('dist') }));
          },
        },
      ],
    });
    await server.listen();
    const address = server.resolvedUrls?.local[0]?.replace(/search\/$/, '');
    say(`${address}  (end it with Ctrl+C)`);
    say('Chrome, Edge, Firefox 141 or later, or Safari 26: a browser with WebGPU.');
  });
});
