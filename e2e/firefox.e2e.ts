import { test } from 'vitest';
import { openFirefox } from '../scripts/browsers.mjs';
import { findFirefox } from '../scripts/firefox.mjs';
import { testSuites } from './page-tests.ts';

const found = await findFirefox();
if ('why' in found) test.skip(`firefox: ${found.why}`, () => undefined);
else await testSuites('firefox', openFirefox);
