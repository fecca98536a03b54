import { type CaseInfo, cases, run } from '../harness.ts';

/** What the Node side reaches the page's suite by. */
export interface SuitePage {
  cases(): CaseInfo[];
  run: typeof run;
}

declare global {
  var suite: SuitePage | undefined;
  /** Why the suite could not be loaded. */
  var suiteError: string | undefined;
}

const name = new URLSearchParams(location.search).get('suite') ?? '';
try {
  await import(/* @vite-ignore */ `../suites/${name}.ts`);
  globalThis.suite = { cases, run };
} catch (error) {
  globalThis.suiteError = `e2e/suites/${name}.ts: ${error instanceof Error ? `${error.message}\n${error.stack}` : error}`;
}
