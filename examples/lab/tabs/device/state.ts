import { signal } from '@preact/signals';
import { type ModelChoice, nameOf, placeOfChoice } from '../../shell/model-choice.ts';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { setParams } from '../../shell/route.ts';
import { Work } from '../../shell/work.ts';
import { type DeviceFacts, deviceFacts } from './adapter.ts';
import { type DtypeFailure, type DtypeResult, measure, STEPS } from './benchmark.ts';
import type { Report } from './report.ts';

/** What the tab knows: the device, what is to be measured, and what was. */

export const TAB = 'device';
export const DTYPES = ['fp32', 'fp16', 'q8'] as const;

export const slot = new ModelSlot(pipelineKind('feature-extraction'), { tab: TAB, task: 'feature-extraction' });
export const measuring = new Work();
export const step = signal('');
/** Undefined until the browser has answered; null where there is no adapter. */
export const facts = signal<DeviceFacts | null | undefined>(undefined);
export const report = signal<Report | undefined>(undefined);

export const dtypesOf = (address: URLSearchParams): readonly string[] => {
  const named = address.get('dtypes')?.split(',');
  return named ? DTYPES.filter(dtype => named.includes(dtype)) : ['fp32'];
};

export function toggleDtype(address: URLSearchParams, dtype: string): void {
  const chosen = new Set(dtypesOf(address));
  if (!chosen.delete(dtype)) chosen.add(dtype);
  const list = DTYPES.filter(each => chosen.has(each)).join();
  setParams(TAB, { dtypes: list === 'fp32' ? undefined : list });
}

export async function readFacts(): Promise<void> {
  facts.value ??= (await deviceFacts()) ?? null;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Measures one dtype after the other; what is done is shown at once. A dtype that fails is noted, and the next one is measured. */
export function start(choice: ModelChoice, dtypes: readonly string[]): void {
  measuring.run(async signal => {
    const results: DtypeResult[] = [];
    const failures: DtypeFailure[] = [];
    const date = new Date().toISOString();
    const total = dtypes.length * STEPS;
    let done = 0;
    const show = () => {
      report.value = { model: nameOf(choice), date, device: facts.peek() ?? undefined, results, failures };
    };
    report.value = undefined;
    for (const [i, dtype] of dtypes.entries()) {
      try {
        const load = async () => slot.kind.load(await placeOfChoice(choice), { dtype, signal });
        const onStep = (words: string) => {
          step.value = words;
          measuring.progress.value = { done, total };
          done += 1;
        };
        const throughput = results[0]?.measured.at(-1)?.workload;
        results.push(await measure(dtype, load, { throughput, signal, onStep }));
      } catch (error) {
        signal.throwIfAborted();
        failures.push({ dtype, reason: reasonOf(error) });
      }
      done = (i + 1) * STEPS;
      show();
    }
  });
}
