/** What runs in Node and Deno alone. */
export const WITHOUT_PAGE = ['directories'];

/** What runs there: kernels, and whole models of every kind; the other suites are about pages. */
export const RUNTIME_SUITES = [
  ...WITHOUT_PAGE,
  'kernels',
  'parity',
  'families',
  'sentence',
  'vectors',
  'tasks',
  'invariance',
  'pipelines',
];
