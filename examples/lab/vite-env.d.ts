/** What Vite puts in place of `import.meta.env` and of imported styles. */
interface ImportMeta {
  readonly env: { readonly PROD: boolean };
}

declare module '*.css';
