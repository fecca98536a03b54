import { claimEverywhere } from '../gpu-limits.ts';
import { takeExcesses } from '../gpu-watch.ts';
import { type CaseInfo, cases, type Outcome, run, takeCases } from '../harness.ts';

/** What the Node side reaches a suite by. */
export interface Suite {
  cases(): CaseInfo[];
  run: typeof run;
}

declare global {
  interface ImportMeta {
    /** Vite's: the modules whose paths fit a pattern, by their paths, each loaded when it is called for. */
    glob(pattern: string): Record<string, () => Promise<unknown>>;
  }
  var suite: Suite | undefined;
  /** Why the suite could not be loaded. */
  var suiteError: string | undefined;
  /** The cases of every suite that was asked for, or why it could not be loaded. */
  var caseLists: Record<string, CaseInfo[] | string> | undefined;
  /** Whether cases are run that say little beside others and take long: npm test -- --thorough. */
  var isThorough: boolean | undefined;
}

/** A case that goes beyond what its device was asked for has failed, whether or not the device minds. */
async function runWithin(which: string, page?: number): Promise<Outcome> {
  takeExcesses();
  const outcome = await run(which, page);
  const excesses = takeExcesses();
  if (!outcome.ok || excesses.length === 0) return outcome;
  return { ...outcome, ok: false, error: `beyond the limits of its device:\n${excesses.slice(0, 10).join('\n')}` };
}

/** The modules of all suites. */
const suites = import.meta.glob('../suites/*.ts');

async function load(name: string): Promise<void> {
  try {
    const suite = suites[`../suites/${name}.ts`];
    if (!suite) throw new Error('there is no such file');
    await suite();
  } catch (error) {
    const text = error instanceof Error ? `${error.message}\n${error.stack}` : error;
    throw new Error(`e2e/suites/${name}.ts: ${text}`);
  }
}

/**
 * Loads the suite that an address names: `?suite=kernels&limits=default`, and `&thorough=1` for all of its cases. With `list` in place of
 * `suite` it lists the cases of several, and runs none: `?list=kernels,tasks&limits=default`.
 */
export async function loadSuite(asked: URLSearchParams): Promise<void> {
  const limits = asked.get('limits');
  if (limits === 'default' || limits === 'small') claimEverywhere(limits);
  globalThis.isThorough = asked.has('thorough');
  const listed = asked.get('list')?.split(',');
  if (!listed) {
    await load(asked.get('suite') ?? '').then(
      () => {
        globalThis.suite = { cases, run: runWithin };
      },
      (error: Error) => {
        globalThis.suiteError = error.message;
      },
    );
    return;
  }
  const lists: Record<string, CaseInfo[] | string> = {};
  for (const name of listed) {
    const error = await load(name).catch(({ message }: Error) => message);
    const found = takeCases();
    lists[name] = error ?? found;
  }
  globalThis.caseLists = lists;
}
