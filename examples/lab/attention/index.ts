/** <bert-attention>: `defineBertAttention()` makes browsers know it. */
import { AutoBertAttention } from './auto-element.ts';

export { AutoBertAttention } from './auto-element.ts';
export { compared, mismatch } from './compare.ts';
export { BertAttention, type BertAttentionEvents, type HeadSelection } from './element.ts';
export { type AttentionModel, loadAttentionModel } from './model-source.ts';
export { PATTERNS, type PatternId } from './patterns.ts';
export { type Snapshot, snapshotOf, viewOfSnapshot } from './snapshot.ts';
export { type AttentionSource, MOST_TOKENS, readAttention } from './source.ts';
export { type DrawingOptions, INITIAL } from './state.ts';
export type { AttentionToken, AttentionView, Guess } from './types.ts';

/** Idempotent. It is a function, since a bundler drops a module that is imported for its effect alone from a package without side effects. */
export function defineBertAttention(): void {
  if (!customElements.get('bert-attention')) customElements.define('bert-attention', AutoBertAttention);
}

declare global {
  interface HTMLElementTagNameMap {
    'bert-attention': AutoBertAttention;
  }
}
