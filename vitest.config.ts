import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { ENTRIES } from './scripts/entries.mjs';
import { at } from './scripts/root.mjs';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['tests/**/*.test.ts'],
          exclude: ['**/node_modules/**', 'tests/adapters/**'],
          // Of all cores: Vitest would keep one for itself, which is half of a machine of two.
          maxWorkers: availableParallelism(),
          testTimeout: 60_000,
        },
      },
      // With the packages of tests/adapters, on the interpreter.
      {
        plugins: [
          {
            name: 'packages of examples',
            // Examples, and the code of docs/recipes.md, stand beside no node_modules of their own.
            resolveId(id, importer) {
              const isExample = [at('examples'), at('.cache', 'recipes')].some(place => importer?.startsWith(place));
              if (isExample && !/^[./]/.test(id)) {
                return this.resolve(id, at('tests', 'adapters', 'package.json'));
              }
            },
          },
        ],
        resolve: {
          alias: ENTRIES.map(({ name, source }) => ({
            find: new RegExp(`^webgpu-bert${name === 'index' ? '' : `/${name}`}$`),
            replacement: at(source),
          })),
        },
        test: {
          name: 'adapters',
          include: ['tests/adapters/*.test.ts'],
          setupFiles: ['tests/cpu-setup.ts'],
          testTimeout: 60_000,
        },
      },
      // One file per browser or runtime, two at a time: most of their time goes to compilers of shaders, each of which has one core.
      {
        test: {
          name: 'e2e',
          include: ['e2e/*.e2e.ts'],
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          exclude: ['e2e/lab*.e2e.ts', 'e2e/installed.e2e.ts', 'e2e/transformers-js.e2e.ts', 'e2e/two-tabs.e2e.ts'],
        },
      },
      // The page of npm start, in its production build: a file for what all tabs share, and one for each tab.
      {
        test: {
          name: 'lab',
          include: ['e2e/lab*.e2e.ts'],
          globalSetup: ['e2e/lab-setup.ts'],
          // Most of their time goes to the compiler of shaders, which has one core.
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
      // The packed package in projects of others, beside transformers.js, and beside itself in another tab.
      {
        test: {
          name: 'installed',
          include: ['e2e/installed.e2e.ts', 'e2e/transformers-js.e2e.ts', 'e2e/two-tabs.e2e.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
