import { claimEverywhere } from '../gpu-limits.ts';
import { takeExcesses } from '../gpu-watch.ts';
import { type CaseInfo, cases, type Outcome, run } from '../harness.ts';

/** What the Node side reaches a suite by. */
export interface Suite {
  cases(): CaseInfo[];
  run: typeof run;
}

declare global {
  var suite: Suite | undefined;
  /** Why the suite could not be loaded. */
  var suiteError: string | undefined;
}

/** A case that goes beyond what its device was asked for has failed, whether or not the device minds. */
async function runWithin(which: string, page?: number): Promise<Outcome> {
  takeExcesses();
  const outcome = await run(which, page);
  const excesses = takeExcesses();
  if (!outcome.ok || excesses.length === 0) return outcome;
  return { ...outcome, ok: false, error: `beyond the limits of its device:\n${excesses.slice(0, 10).join('\n')}` };
}

/** Loads the suite that an address names: `?suite=kernels&limits=default`. */
export async function loadSuite(asked: URLSearchParams): Promise<void> {
  const name = asked.get('suite') ?? '';
  const limits = asked.get('limits');
  if (limits === 'default' || limits === 'small') claimEverywhere(limits);
  try {
    await import(/* @vite-ignore */ `../suites/${name}.ts`);
    globalThis.suite = { cases, run: runWithin };
  } catch (error) {
    globalThis.suiteError = `e2e/suites/${name}.ts: ${error instanceof Error ? `${error.message}\n${error.stack}` : error}`;
  }
}
