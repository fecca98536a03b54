import { test } from 'vitest';
import { testSuites } from './page-tests.ts';
import { findNode } from './runtimes/runtimes.mjs';
import { RUNTIME_SUITES } from './runtimes/suites.ts';

const found = await findNode();
if ('why' in found) test.skip(`node: ${found.why}`, () => undefined);
else await testSuites('node', found.open, { suites: RUNTIME_SUITES });
