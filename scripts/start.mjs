import { modelsFolder } from '../weights/fetch.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, say, steps } from './step.mjs';

/** The lab in the person's own browser: its production build, with the model from .cache/models. */
await command(async () => {
  const step = steps(4);
  await step(...setup.packages);
  await step(...setup.model);
  await step('lab', 'examples/lab, into .cache/lab', async () => (await import('./lab.mjs')).buildLab());
  await step('page', 'served to this machine alone', async () => {
    // These come with the packages, which the first step has only just installed.
    const [{ preview }, { files }, { labFolder, labMounts }] = await Promise.all([
      import('vite'),
      import('./serve.mjs'),
      import('./lab.mjs'),
    ]);
    const server = await preview({
      root: at('examples', 'lab'),
      configFile: false,
      logLevel: 'warn',
      appType: 'mpa',
      build: { outDir: labFolder },
      preview: { host: '127.0.0.1', port: 5173, open: process.env.CI ? false : '/' },
      plugins: [
        {
          name: 'files',
          configurePreviewServer({ middlewares }) {
            // The search was a page of its own once: old bookmarks still find it.
            middlewares.use('/search', (_, response) => response.writeHead(302, { location: '/#search' }).end());
            middlewares.use(files(labMounts(modelsFolder)));
          },
        },
      ],
    });
    say(`${server.resolvedUrls?.local[0]}  (end it with Ctrl+C)`);
    say('Chrome, Edge, Firefox 141 or later, or Safari 26: a browser with WebGPU.');
  });
});
