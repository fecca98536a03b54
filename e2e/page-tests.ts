import { appendFileSync, readdirSync } from 'node:fs';
import { afterAll, test } from 'vitest';
import type { Browser, Page } from '../scripts/browsers.mjs';
import { at } from '../scripts/root.mjs';
import type { CaseInfo, Outcome } from './harness.ts';
import { WITHOUT_PAGE } from './runtimes/suites.ts';
import { serveTests } from './server.ts';

const loadLimitMs = 60_000;
/** For all suites together. */
const listLimitMs = 240_000;

/** A suite's page, and what its devices may have: see gpu-limits.ts. */
interface SuitePage {
  readonly suite: string;
  readonly limits: DeviceLimits;
}

/** One browser with one page for the suite at hand. A page that is lost is opened anew for the next case. */
class SuiteRunner {
  private browser: Browser | undefined;
  private page: Page | undefined;
  private shown: SuitePage | undefined;
  private messages: string[] = [];

  constructor(
    private readonly open: () => Promise<Browser>,
    private readonly origin: string,
  ) {}

  /** The cases of some suites, or why one cannot be loaded: all in one page, which is fast, and runs none. */
  async list(suites: readonly string[], limits: DeviceLimits): Promise<Record<string, CaseInfo[] | string>> {
    const page = await this.show(`list=${suites.join(',')}&limits=${limits}`);
    const lists = await page.evaluate(waitForLists, listLimitMs);
    await this.drop();
    return lists;
  }

  /** Opens the suite's page where it is not open. Throws where the suite does not load. */
  private async load(wanted: SuitePage): Promise<void> {
    if (this.shown === wanted && this.page && this.browser?.isOpen()) return;
    const page = await this.show(`suite=${wanted.suite}&limits=${wanted.limits}`);
    await page.evaluate(waitForSuite, loadLimitMs);
    this.shown = wanted;
  }

  private async show(query: string): Promise<Page> {
    await this.drop();
    if (!this.browser?.isOpen()) this.browser = await this.open();
    const page = await this.browser.newPage();
    this.page = page;
    page.onMessage((line, kind) => this.messages.push(`${kind}: ${line}`));
    await page.goto(`${this.origin}/suite?${query}${process.env.WEBGPU_BERT_THOROUGH ? '&thorough=1' : ''}`);
    return page;
  }

  /** Runs one case, and gives its notes; what went wrong in it or around it is an error with the page's messages. */
  async run(page: SuitePage, { name, limitMs, pages }: CaseInfo): Promise<string[]> {
    this.messages = [];
    const notes: string[] = [];
    try {
      for (let number = 0; number < pages; number++) {
        // One of several parts has a page of its own.
        if (pages > 1) await this.drop();
        await this.load(page);
        const {
          ok,
          error,
          notes: own,
        } = await within<Outcome>(
          limitMs,
          this.page!.evaluate((wanted: string, part: number) => globalThis.suite!.run(wanted, part), name, number),
        );
        if (!ok) throw new CaseFailure(error ?? 'failed without a word');
        notes.push(...own);
      }
      return notes;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (!(error instanceof CaseFailure)) await this.drop();
      const notes = this.messages.length > 0 ? `\n--- the page said\n${this.messages.join('\n')}` : '';
      throw new CaseFailure(`${text}${notes}`);
    }
  }

  /** A page that hangs may also hang its own closing. */
  private async drop(): Promise<void> {
    const { page } = this;
    this.page = this.shown = undefined;
    await within(10_000, page?.close() ?? Promise.resolve()).catch(() => this.close());
  }

  async close(): Promise<void> {
    const { browser } = this;
    this.browser = this.page = this.shown = undefined;
    await within(10_000, browser?.close() ?? Promise.resolve()).catch(() => undefined);
  }
}

/** The stack of the Node side says nothing about a failure in the page. */
class CaseFailure extends Error {
  override readonly name = 'CaseFailure';
  override stack = undefined;
}

async function waitForSuite(limitMs: number): Promise<void> {
  const began = Date.now();
  while (!globalThis.suite) {
    if (globalThis.suiteError) throw new Error(globalThis.suiteError);
    if (Date.now() - began > limitMs) throw new Error('the suite has not loaded in time');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

async function waitForLists(limitMs: number): Promise<Record<string, CaseInfo[] | string>> {
  const began = Date.now();
  while (!globalThis.caseLists) {
    if (Date.now() - began > limitMs) throw new Error('the suites have not loaded in time');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  return globalThis.caseLists;
}

async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from the page in ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** What devices have: what their adapter has to give, no more than the defaults, or less. See gpu-limits.ts. */
export type DeviceLimits = 'adapter' | 'default' | 'small';

/**
 * Makes one vitest test of every case of every suite in e2e/suites, run in one browser:
 * "chromium, default limits › kernels › linear 65x384x1536"; then, on small devices, of those suites that `small` names. A suite
 * that does not load is a failed test of its own. `suites` names those that are run where not all are that a page can run.
 * WEBGPU_BERT_SUITES names the suites wanted, with commas, WEBGPU_BERT_LIMITS the runs: "adapter", "default", "small"; without it, all
 * are run. WEBGPU_BERT_NOTES names a file that the notes of every case that passes are added to, a line of JSON each.
 * WEBGPU_BERT_THOROUGH=1 runs the cases that say little beside others and take long, too.
 */
export async function testSuites(
  browserName: Browser['name'],
  open: () => Promise<Browser>,
  {
    limits = 'adapter',
    small = [],
    suites: named,
  }: { limits?: DeviceLimits; small?: readonly string[]; suites?: readonly string[] } = {},
): Promise<void> {
  const server = await serveTests(browserName);
  const runner = new SuiteRunner(open, server.origin);
  afterAll(async () => {
    await runner.close();
    await server.close();
  });
  const wanted = process.env.WEBGPU_BERT_SUITES?.split(',');
  const runs = process.env.WEBGPU_BERT_LIMITS?.split(',');
  const notesFile = process.env.WEBGPU_BERT_NOTES;
  const all = readdirSync(at('e2e', 'suites'))
    .filter(file => file.endsWith('.ts'))
    .map(file => file.slice(0, -3));
  const unknown = wanted?.filter(suite => !all.includes(suite)) ?? [];
  if (unknown.length > 0) throw new Error(`there is no suite ${unknown.join(', ')}; there are ${all.join(', ')}`);
  const suites = all.filter(
    suite => (wanted?.includes(suite) ?? true) && (named?.includes(suite) ?? !WITHOUT_PAGE.includes(suite)),
  );
  const onSmall = suites.filter(suite => small.includes(suite)).map(suite => ({ suite, limits: 'small' as const }));
  const pages = [...suites.map(suite => ({ suite, limits })), ...onSmall].filter(
    page => runs?.includes(page.limits) ?? true,
  );

  const lists = new Map<DeviceLimits, Record<string, CaseInfo[] | string>>();
  for (const kind of new Set(pages.map(page => page.limits))) {
    const named = pages.filter(page => page.limits === kind).map(({ suite }) => suite);
    lists.set(kind, await within(listLimitMs + 30_000, runner.list(named, kind)));
  }

  for (const page of pages) {
    const title = `${browserName}${page.limits === 'adapter' ? '' : `, ${page.limits} limits`} › ${page.suite}`;
    const infos = lists.get(page.limits)![page.suite]!;
    if (typeof infos === 'string' || infos.length === 0) {
      test(`${title} › loads`, () => {
        throw new Error(typeof infos === 'string' ? infos : `e2e/suites/${page.suite}.ts registers no case`);
      });
      continue;
    }
    for (const info of infos) {
      const timeout = info.pages * (info.limitMs + loadLimitMs + 60_000);
      test(`${title} › ${info.name}`, { timeout }, async ({ annotate }) => {
        const notes = await runner.run(page, info);
        for (const note of notes) await annotate(note);
        if (notesFile) appendFileSync(notesFile, `${JSON.stringify({ browser: browserName, ...page, notes })}\n`);
      });
    }
  }
}
