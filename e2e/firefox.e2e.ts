import { test } from 'vitest';
import { findFirefox } from '../scripts/firefox.mjs';
import { openFirefox } from './browsers.mjs';
import { testSuites } from './page-tests.ts';

const found = await findFirefox();
if ('why' in found) test.skip(`firefox: ${found.why}`, () => undefined);
else await testSuites('firefox', openFirefox);
