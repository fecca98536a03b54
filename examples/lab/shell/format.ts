/** Numbers as the page writes them. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const two = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${two.format(bytes / 1e9)} GB`;
  return bytes < 1e6 ? `${whole.format(bytes / 1e3)} kB` : `${whole.format(bytes / 1e6)} MB`;
}

export const milliseconds = (ms: number): string =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${whole.format(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

export const count = (n: number, noun: string): string => `${whole.format(n)} ${noun}${n === 1 ? '' : 's'}`;
