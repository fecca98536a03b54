import { openChromium } from './browsers.mjs';
import { testSuites } from './page-tests.ts';

/** Whole models of every family and format, tables in slices: what may depend on what a device has. */
const MODELS = ['families', 'dtype', 'vocabulary'];

await testSuites('chromium', openChromium, [
  { limits: 'default', suites: [...MODELS, 'limits'] },
  { limits: 'small', suites: [...MODELS, 'kernels'] },
]);
