/** What runs in Node and Deno alone. */
export const WITHOUT_PAGE = ['directories'];

/**
 * What runs there: whole models of every kind. The other suites are about pages. Kernels run in browsers, which have the same two
 * implementations of WebGPU (Dawn in Chromium and Node, wgpu in Firefox and Deno), and here in a thorough run alone.
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
  ...(process.env.WEBGPU_BERT_THOROUGH ? ['kernels'] : []),
];
