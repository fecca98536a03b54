/** Numbers as the page writes them. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const two = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${two.format(bytes / 1e9)} GB`;
  return bytes < 1e6 ? `${whole.format(bytes / 1e3)} kB` : `${whole.format(bytes / 1e6)} MB`;
}

export const milliseconds = (ms: number): string =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${whole.format(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

export const count = (n: number, noun: string, plural = `${noun}s`): string =>
  `${whole.format(n)} ${n === 1 ? noun : plural}`;

/** A probability; a small one keeps a digit that tells it from none. */
export function percent(share: number): string {
  const value = share * 100;
  if (value >= 0.095 || value === 0) return `${value.toFixed(value < 99.95 && value > 0 ? 1 : 0)} %`;
  return value < 0.0005 ? '< 0.001 %' : `${value.toFixed(3)} %`;
}

/** A score that may be less than nothing; one that rounds to nothing has no sign. */
export const twoDigits = (score: number): string => score.toFixed(2).replace(/^-(0\.00)$/, '$1');

/** A whole number from 1 of the address. */
export function countFrom(setting: string | null, otherwise: number, most: number): number {
  const value = Number(setting ?? otherwise);
  return Number.isInteger(value) && value >= 1 ? Math.min(value, most) : otherwise;
}
