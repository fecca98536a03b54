import type { ComponentChildren } from 'preact';
import { supported } from './support.ts';

interface AnswerProps {
  readonly label: string;
  /** Whether the model is there. */
  readonly isReady: boolean;
  /** Whether what was asked has changed since. */
  readonly isOld: boolean;
  /** The answer; undefined where there is none yet. */
  readonly children: ComponentChildren;
}

/** The answer of a tab, or a word on where it will stand. */
export function AnswerPlace({ label, isReady, isOld, children }: AnswerProps) {
  if (children) {
    return (
      <section class="answers" aria-label={label} aria-busy={isOld}>
        {children}
      </section>
    );
  }
  if (isReady || supported.value?.ok === false) return null;
  return <p class="note">The answer stands here as soon as the model is there.</p>;
}
