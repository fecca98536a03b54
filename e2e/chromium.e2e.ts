import { openChromium } from './browsers.mjs';
import { testSuites } from './page-tests.ts';

await testSuites('chromium', openChromium);
