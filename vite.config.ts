import { defineConfig } from 'vite';

/** The library: one ES module that holds everything, for a plain `<script type="module">`. */
export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2022',
    sourcemap: true,
    emptyOutDir: true,
    reportCompressedSize: false,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: () => 'webgpu-bert.js' },
    rolldownOptions: {
      // Node's own modules are reached by guarded dynamic imports, which a page never runs.
      external: [/^node:/],
      // Vite keeps the white space of an ES library for the bundlers after it; this file is the end product.
      output: { codeSplitting: false, minify: true },
    },
  },
});
