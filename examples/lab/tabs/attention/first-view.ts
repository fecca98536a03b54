import { type AttentionView, type Snapshot, viewOfSnapshot } from '../../attention/index.ts';

/** The text that one sees first, and its attention computed beforehand (scripts/lab-first-view.mjs). */
export const FIRST_TEXT = 'The dog chased the cat, and the cat climbed a tree.';
export const FIRST_PAIR = 'The dog barked at the tree.';

/** Undefined where it cannot be had: then the page waits for the model. */
export const firstView: Promise<AttentionView | undefined> = fetch(new URL('./first-view.json', document.baseURI))
  .then(answer => (answer.ok ? (answer.json() as Promise<Snapshot>) : undefined))
  .then(snapshot => snapshot && viewOfSnapshot(snapshot))
  .catch(() => undefined);
