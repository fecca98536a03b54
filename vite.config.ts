import { defineConfig } from 'vite';
import { compactWgsl } from './scripts/compact-wgsl.mjs';
import { gzipNames } from './scripts/gzip-names.mjs';
import { minifyFirst } from './scripts/minify-first.mjs';
import { moduleOrder } from './scripts/module-order.mjs';
import { at } from './scripts/root.mjs';

/** The library: one ES module that holds everything, for a plain `<script type="module">`. */
export default defineConfig({
  publicDir: false,
  plugins: [compactWgsl(at('shaders')), minifyFirst(), moduleOrder(), gzipNames()],
  build: {
    target: 'es2022',
    sourcemap: true,
    emptyOutDir: true,
    reportCompressedSize: false,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: () => 'webgpu-bert.js' },
    rolldownOptions: {
      // Node's own modules are reached by guarded dynamic imports, which a page never runs.
      external: [/^node:/],
      // Terser and the searches for what compresses better take a while, once a build.
      checks: { pluginTimings: false },
      // Vite keeps the white space of an ES library for the bundlers after it; this file is the end product.
      output: { codeSplitting: false, minify: true },
    },
  },
});
