/** What runs in Node and Deno alone. */
export const WITHOUT_PAGE = ['directories'];

/**
 * What runs there: whole models of every kind. The other suites are about pages; kernels run in browsers, which have the same two
 * implementations of WebGPU (Dawn in Chromium and Node, wgpu in Firefox and Deno).
 */
export const RUNTIME_SUITES = [
  ...WITHOUT_PAGE,
  'parity',
  'families',
  'sentence',
  'vectors',
  'tasks',
  'invariance',
  'pipelines',
];
