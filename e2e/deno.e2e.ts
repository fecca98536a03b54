import { test } from 'vitest';
import { testSuites } from './page-tests.ts';
import { findDeno } from './runtimes/runtimes.mjs';
import { RUNTIME_SUITES } from './runtimes/suites.ts';

const found = await findDeno();
if ('why' in found) test.skip(`deno: ${found.why}`, () => undefined);
else await testSuites('deno', found.open, { suites: RUNTIME_SUITES });
