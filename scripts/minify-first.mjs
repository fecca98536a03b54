import { minify } from 'terser';

/**
 * Lets terser simplify the finished file before rolldown minifies it: each finds what the other leaves. The names are
 * rolldown's to shorten, and no option of terser's that is unsafe is on.
 * @returns {import('vite').Plugin}
 */
export function minifyFirst() {
  return {
    name: 'minify-first',
    apply: 'build',
    async renderChunk(source) {
      const { code, map } = await minify(source, {
        module: true,
        ecma: 2020,
        compress: { passes: 3 },
        mangle: false,
        sourceMap: { asObject: true },
      });
      if (code === undefined) throw new Error('terser gave no code');
      return { code, map: /** @type {any} */ (map) };
    },
  };
}
