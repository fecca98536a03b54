import { signal } from '@preact/signals';
import { type AttentionModel, type AttentionView, readAttention } from '../../attention/index.ts';
import { shortNameOf } from '../../shell/model-choice.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { params, setParams } from '../../shell/route.ts';
import { Work } from '../../shell/work.ts';
import { attentionKind } from './attention-kind.ts';
import { FIRST_PAIR, FIRST_TEXT, firstView } from './first-view.ts';

/** What the tab knows: the texts, in the address; the models; and the attention that was read last. */

export const TAB = 'attention';

/** As someone types, so long without a key. */
const PAUSE_MS = 90;

export type ComparedWith = 'nothing' | 'text' | 'model';

export const slot = new ModelSlot(attentionKind, { tab: TAB, task: 'attention' });
export const otherSlot = new ModelSlot(attentionKind, {
  tab: TAB,
  task: 'attention',
  param: 'with',
  startsEmpty: true,
});
export const work = new Work();
export const otherWork = new Work();

export interface Reading {
  readonly view: AttentionView;
  /** Undefined for the view that was computed beforehand. */
  readonly elapsedMs: number | undefined;
}

export const reading = signal<Reading | undefined>(undefined);
export const otherView = signal<AttentionView | undefined>(undefined);

export const textOf = (address: URLSearchParams): string => address.get('text') ?? FIRST_TEXT;
/** The second text; undefined where there is none. */
export function pairOf(address: URLSearchParams): string | undefined {
  const pair = address.get('pair');
  if (pair === null) return address.has('text') ? undefined : FIRST_PAIR;
  return pair === '' ? undefined : pair;
}
export const comparedWith = (address: URLSearchParams): ComparedWith =>
  address.has('other') ? 'text' : address.has('compare') ? 'model' : 'nothing';
export const maskedOf = (address: URLSearchParams): number[] =>
  (address.get('mask') ?? '').split(',').filter(Boolean).map(Number).filter(Number.isInteger);

/** Other words have other places: masks are taken off. */
export const setText = (text: string): void =>
  setParams(TAB, { text, pair: pairOf(params.peek()) ?? '', mask: undefined });
export const setPair = (pair: string): void => setParams(TAB, { text: textOf(params.peek()), pair, mask: undefined });

export function toggleMask(index: number): void {
  const masked = new Set(maskedOf(params.peek()));
  if (!masked.delete(index)) masked.add(index);
  setParams(TAB, { mask: masked.size > 0 ? [...masked].join() : undefined });
}

/** Shows what was computed beforehand, while the texts and the model that are asked for are those of it, and nothing was read yet. */
export async function showFirstView(): Promise<void> {
  const view = await firstView;
  if (!view || reading.peek()?.elapsedMs !== undefined) return;
  const address = params.peek();
  const choice = slot.choice.peek();
  const isAsked =
    textOf(address) === view.text && pairOf(address) === view.pair && choice && shortNameOf(choice) === view.name;
  reading.value = isAsked ? { view, elapsedMs: undefined } : undefined;
}

export function read(model: AttentionModel, text: string, pair: string | undefined, masked: readonly number[]): void {
  work.run(
    async signal => {
      const began = performance.now();
      const view = await readAttention(model.source, text, { pair, masked, signal });
      reading.value = { view, elapsedMs: performance.now() - began };
    },
    { delayMs: reading.peek()?.elapsedMs === undefined ? 0 : PAUSE_MS },
  );
}

/** Reads what is compared with, with the same places masked: the same text in another model, or another text in the same one. */
export function readOther(
  model: AttentionModel,
  text: string,
  pair: string | undefined,
  masked: readonly number[],
): void {
  otherWork.run(
    async signal => {
      otherView.value = await readAttention(model.source, text, { pair, masked, signal });
    },
    { delayMs: PAUSE_MS },
  );
}
