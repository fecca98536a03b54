import { globalOf } from '../../runtime/index.ts';

/** Time and chance, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** 0 to 1, 1 excluded. */
  random(): number;
  /** Rejects with the signal's reason as soon as it aborts, and leaves no timer. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const realClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        resolve();
      }, ms);
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  },
};

/** How often a file is asked for before its first byte has come. */
export const MAX_ATTEMPTS = 5;
/** The sum of all pauses between the attempts for one file is at most this, also where the server asks for more. */
export const MAX_WAIT_MS = 30_000;
const FIRST_PAUSE_MS = 250;

/** Statuses that may pass soon: too slow, too many requests, a failure, a gateway without its server. */
const PASSING: readonly number[] = [408, 429, 500, 502, 503, 504];

export const isPassing = (response: Response): boolean => PASSING.includes(response.status);

/** Milliseconds that the server asks to wait, from a header in seconds or with a date; undefined where it does not ask. */
export function retryAfter({ headers }: Response, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse accepts much that is no HTTP date: '-5' is a year.
  const until = value.endsWith('GMT') ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(until)) return undefined;
  // Relative to the clock of the server, where it tells the time: the clock of the device may be wrong.
  const sent = Date.parse(headers.get('date') ?? '');
  return Math.max(0, until - (Number.isNaN(sent) ? now : sent));
}

/** Whether a rejected fetch may succeed soon: not where the device knows that it is offline. */
export const mayReconnect = (): boolean => globalOf('navigator')?.onLine !== false;

/** Counts the attempts at one file and makes the pauses between them: they double, and half of each is left to chance. */
export class Patience {
  readonly #clock: Clock;
  readonly #maxAttempts: number;
  readonly #began: number;
  #attempts = 1;
  #waited = 0;
  /** The pause in ms that the server asked for and that was too long to make. */
  #refusedPause: number | undefined;

  constructor(clock: Clock, maxAttempts = MAX_ATTEMPTS) {
    this.#clock = clock;
    this.#maxAttempts = maxAttempts;
    this.#began = clock.now();
  }

  /**
   * Waits until the next attempt and resolves to true; or at once to false where no attempt may follow: all are used up, or the
   * server asks for a longer pause than may still be made. Rejects with the signal's reason.
   */
  async pause(signal: AbortSignal, response?: Response): Promise<boolean> {
    if (this.#attempts >= this.#maxAttempts) return false;
    const full = FIRST_PAUSE_MS * 2 ** (this.#attempts - 1);
    const requested = response && retryAfter(response, this.#clock.now());
    const ms = Math.max(full * (0.5 + this.#clock.random() / 2), requested ?? 0);
    if (this.#waited + ms > MAX_WAIT_MS) {
      this.#refusedPause = requested;
      return false;
    }
    await this.#clock.sleep(ms, signal);
    this.#attempts++;
    this.#waited += ms;
    return true;
  }

  /** The attempts and pauses, for messages; empty where there was one attempt and the server asked for no pause. */
  toString(): string {
    const seconds = (ms: number) => `${Number((ms / 1000).toFixed(1))} s`;
    const pause = this.#refusedPause;
    const wish = pause === undefined ? '' : `the server asks to wait ${seconds(pause)} more`;
    if (this.#attempts === 1) return wish;
    const total = seconds(this.#clock.now() - this.#began);
    const attempts = `${this.#attempts} attempts in ${total}, ${seconds(this.#waited)} of it waiting`;
    return wish ? `${attempts}; ${wish}` : attempts;
  }
}
