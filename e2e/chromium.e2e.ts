import { openChromium } from '../scripts/browsers.mjs';
import { testSuites } from './page-tests.ts';

// All suites on devices with exactly the default limits, as a page has that asks for none; Firefox's have what the adapter gives.
// Then, on devices with less, what may depend on that: whole models of every family and format, tables in slices, and of the kernels
// linears alone, whose tiling a limit changes. The text of any other kernel is the same there as with the default limits.
await testSuites('chromium', openChromium, {
  limits: 'default',
  small: [
    'families',
    'dtype',
    'vocabulary',
    'kernels',
    'training-linear',
    'sentence',
    'options',
    'pipelines',
    'read-back',
  ],
});
