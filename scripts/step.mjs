/** What the commands print: numbered steps, how long each took, and for a failure what to do about it. */

/** Redrawn lines are for a person at a terminal; a log gets whole lines only. */
const redraws = process.stdout.isTTY === true && !process.env.CI;

/** A failure that a person can act on: `message` says what happened, `next` what to do. */
export class Stop extends Error {
  /** @param {string} message @param {string} next */
  constructor(message, next) {
    super(message);
    this.name = 'Stop';
    this.next = next;
  }
}

let barIsOpen = false;

/** @param {string} text */
export function say(text) {
  if (barIsOpen) process.stdout.write('\n');
  barIsOpen = false;
  for (const line of text.split('\n')) console.log(`      ${line}`);
}

/** @param {number} ms */
export const seconds = ms => `${(ms / 1000).toFixed(1)} s`;

/** @param {number} bytes */
export const megabytes = bytes => (bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @param {unknown} error */
export function explain(error) {
  if (error instanceof Stop) return `failed: ${error.message}\nto do:  ${error.next}`;
  return `failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

/**
 * Numbers the steps of one command: `const step = steps(3); await step('build', 'one ES module', async () => 'done')`.
 * What the body resolves to is printed beside its time.
 * @param {number} total
 */
export function steps(total) {
  let done = 0;
  /** @template T @param {string} name @param {string} purpose @param {() => Promise<T>} body @returns {Promise<T>} */
  return async (name, purpose, body) => {
    done += 1;
    console.log(`${done}/${total}  ${name}: ${purpose}`);
    const began = performance.now();
    const result = await body();
    say(`${typeof result === 'string' ? `${result}, ` : ''}${seconds(performance.now() - began)}`);
    return result;
  };
}

/**
 * A progress bar for a terminal, a line per quarter for a log.
 * @param {string} label
 * @returns {(loaded: number, total: number) => void}
 */
export function progressBar(label) {
  let shown = -1;
  return (loaded, total) => {
    const fraction = total > 0 ? Math.min(1, loaded / total) : 0;
    const mark = Math.floor(fraction * (redraws ? 100 : 4));
    if (mark === shown) return;
    shown = mark;
    const amount = `${(fraction * 100).toFixed(0).padStart(3)} %  ${megabytes(loaded)} of ${megabytes(total)}`;
    if (!redraws) return say(`${label} ${amount}`);
    const filled = Math.round(fraction * 24);
    const bar = '█'.repeat(filled) + '░'.repeat(24 - filled);
    process.stdout.write(`\r\x1b[2K      ${label} ${bar} ${amount}${fraction === 1 ? '\n' : ''}`);
    barIsOpen = fraction < 1;
  };
}

/**
 * Runs a command's main function; a failure is printed in words and ends with exit code 1.
 * @param {() => Promise<number | void>} main
 */
export async function command(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    for (const line of explain(error).split('\n')) console.error(`      ${line}`);
    process.exitCode = 1;
  }
}
