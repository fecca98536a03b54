import { signal } from '@preact/signals';
import { Work } from '../../shell/work.ts';

/** As someone types, so long without a key. */
const PAUSE_MS = 90;

/** What a model says of the text that a person tries. */
export class Trial<A extends { readonly text: string }> {
  readonly work = new Work();
  readonly answer = signal<A | undefined>(undefined);

  /** @param answering the answer; undefined where there is no model to give one */
  ask(answering: (signal: AbortSignal) => Promise<A | undefined>): void {
    this.work.run(
      async signal => {
        const answer = await answering(signal);
        if (answer && !signal.aborted) this.answer.value = answer;
      },
      { delayMs: this.answer.peek() ? PAUSE_MS : 0 },
    );
  }

  forget(): void {
    this.work.clear();
    this.answer.value = undefined;
  }
}
