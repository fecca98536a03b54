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
export const MOST_ATTEMPTS = 5;
/** The most that is waited in all between the attempts for one file, also where the server asks for more. */
export const MOST_WAIT_MS = 30_000;
const FIRST_PAUSE_MS = 250;

/** Answers of a server that may do better soon: too slow, too many requests, a failure, a gateway without its server. */
const PASSING: readonly number[] = [408, 429, 500, 502, 503, 504];

export const isPassing = (response: Response): boolean => PASSING.includes(response.status);

/** Milliseconds that the server asks to wait, in seconds or until a date; undefined where it does not say. */
export function retryAfter({ headers }: Response, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse takes much that is no date of HTTP: '-5' is a year.
  const until = value.endsWith('GMT') ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(until)) return undefined;
  // By the server's own clock, where it is told: that of the device may be wrong.
  const sent = Date.parse(headers.get('date') ?? '');
  return Math.max(0, until - (Number.isNaN(sent) ? now : sent));
}

/** Whether a rejected fetch may succeed soon: not where the device itself knows that it has no connection. */
export const mayReconnect = (): boolean => globalOf('navigator')?.onLine !== false;

/** The attempts at one file, and the pauses between them: they double, and a part of each is left to chance. */
export class Patience {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #began: number;
  #attempts = 1;
  #waited = 0;
  /** What the server asked for and did not get. */
  #asked: number | undefined;

  constructor(clock: Clock, most = MOST_ATTEMPTS) {
    this.#clock = clock;
    this.#most = most;
    this.#began = clock.now();
  }

  /**
   * Waits until the next attempt. False, at once, where there shall be none: the attempts are used up, or the server asks for a
   * longer pause than is left. Rejects with the signal's reason.
   */
  async pause(signal: AbortSignal, response?: Response): Promise<boolean> {
    if (this.#attempts >= this.#most) return false;
    const full = FIRST_PAUSE_MS * 2 ** (this.#attempts - 1);
    const asked = response && retryAfter(response, this.#clock.now());
    const ms = Math.max(full * (0.5 + this.#clock.random() / 2), asked ?? 0);
    if (this.#waited + ms > MOST_WAIT_MS) {
      this.#asked = asked;
      return false;
    }
    await this.#clock.sleep(ms, signal);
    this.#attempts++;
    this.#waited += ms;
    return true;
  }

  /** For messages; empty where there was one attempt, and no wish for another. */
  toString(): string {
    const seconds = (ms: number) => `${Number((ms / 1000).toFixed(1))} s`;
    const asked = this.#asked === undefined ? '' : `the server asks to wait ${seconds(this.#asked)} more`;
    if (this.#attempts === 1) return asked;
    const total = seconds(this.#clock.now() - this.#began);
    const tried = `${this.#attempts} attempts in ${total}, ${seconds(this.#waited)} of it waiting`;
    return asked ? `${tried}; ${asked}` : tried;
  }
}
