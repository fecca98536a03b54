// The package ships no types: https://github.com/toji/wgsl-preprocessor
declare module 'wgsl-preprocessor/wgsl-preprocessor.js' {
  /** Template tag with #if / #elif / #else / #endif; a directive is followed at once by its `${condition}`. */
  export function wgsl(strings: TemplateStringsArray, ...values: unknown[]): string;
}
