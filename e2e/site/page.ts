import { claimEverywhere } from '../gpu-limits.ts';
import { takeExcesses } from '../gpu-watch.ts';
import { type CaseInfo, cases, type Outcome, run } from '../harness.ts';

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

const asked = new URLSearchParams(location.search);
const name = asked.get('suite') ?? '';
const limits = asked.get('limits');
if (limits === 'default' || limits === 'small') claimEverywhere(limits);

/** A case that goes beyond what its device was asked for has failed, whether or not the device minds. */
async function runWithin(which: string): Promise<Outcome> {
  takeExcesses();
  const outcome = await run(which);
  const excesses = takeExcesses();
  if (!outcome.ok || excesses.length === 0) return outcome;
  return { ...outcome, ok: false, error: `beyond the limits of its device:\n${excesses.slice(0, 10).join('\n')}` };
}

try {
  await import(/* @vite-ignore */ `../suites/${name}.ts`);
  globalThis.suite = { cases, run: runWithin };
} catch (error) {
  globalThis.suiteError = `e2e/suites/${name}.ts: ${error instanceof Error ? `${error.message}\n${error.stack}` : error}`;
}
