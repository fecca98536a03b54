import { megabytes } from '../../shell/format.ts';
import type { DeviceFacts } from './adapter.ts';
import type { DtypeFailure, DtypeResult, Measured } from './benchmark.ts';

/** All that was found out about this device, to be copied. */
export interface Report {
  readonly model: string;
  readonly date: string;
  readonly device: DeviceFacts | undefined;
  readonly results: readonly DtypeResult[];
  readonly failures: readonly DtypeFailure[];
}

export const perSecond = ({ tokens, ms }: Measured): number => (1000 * tokens) / ms.median;

const milliseconds = (ms: number): string => (ms < 100 ? ms.toFixed(1) : ms.toFixed(0));

/** The median, and between which times half of the calls lie. */
export const timeWords = ({ ms }: Measured): string =>
  `${milliseconds(ms.median)} ms (${milliseconds(ms.lower)} to ${milliseconds(ms.upper)})`;

export const workloadWords = ({ workload: { texts, tokens } }: Measured): string => `${texts} × ${tokens} tokens`;

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export function markdownOf({ model, date, device, results, failures }: Report): string {
  const lines = [`## webgpu-bert on this device`, '', `${model}, ${date.slice(0, 10)}`, ''];
  if (device) {
    const { adapter, features, limits, browser, cores } = device;
    lines.push(`- GPU: ${Object.values(adapter).join(', ') || 'not named by the browser'}`);
    lines.push(`- Features: ${features.join(', ') || 'none of those that the kernels use'}`);
    lines.push(
      `- Limits: ${Object.entries(limits)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    );
    lines.push(`- Browser: ${browser}`);
    if (cores !== undefined) lines.push(`- CPU threads: ${cores}`);
    lines.push('');
  }
  const [first] = results;
  if (first) {
    lines.push(row(['', ...results.map(({ dtype }) => dtype)]), row(['---', ...results.map(() => '---:')]));
    lines.push(row(['load, files at hand', ...results.map(({ loadMs }) => `${milliseconds(loadMs)} ms`)]));
    for (const [i, measured] of first.measured.entries()) {
      lines.push(row([workloadWords(measured), ...results.map(result => timeWords(result.measured[i]!))]));
    }
    lines.push(
      row(['tokens per second', ...results.map(result => Math.round(perSecond(result.measured.at(-1)!)).toString())]),
    );
    lines.push(row(['weights on the GPU', ...results.map(({ bytes }) => megabytes(bytes.weights))]), '');
    lines.push(
      'Warm calls, tokenizer included: the median, and in brackets the quartiles. The load was measured once.',
      '',
    );
  }
  for (const { dtype, reason } of failures) lines.push(`- ${dtype} was not measured: ${reason}`);
  return `${lines.join('\n').trimEnd()}\n`;
}

export const jsonOf = (report: Report): string => `${JSON.stringify(report, undefined, 2)}\n`;
