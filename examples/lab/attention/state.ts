import type { PatternId } from './patterns.ts';
import type { AttentionView } from './types.ts';

/** What the element shows of a view, and how. */
export interface ViewState {
  readonly view: AttentionView | undefined;
  /** The differences of heads, [layers x heads, side, side] from -1 to 1, where two views are compared; the view's own maps are differences then. */
  readonly differences: Float32Array | undefined;
  /** The index of the head that was chosen: layer x heads + head. */
  readonly pinned: number;
  /** The head under the pointer, or with the focus. */
  readonly preview: number | undefined;
  /** One head alone, without the overview. */
  readonly isSolo: boolean;
  readonly sort: PatternId | undefined;
  /** Only heads that reach the threshold of `sort`. */
  readonly isFiltered: boolean;
  readonly mode: 'lines' | 'matrix';
  readonly threshold: number;
  readonly hideSpecial: boolean;
  readonly crossOnly: boolean;
  /** The token that was chosen. */
  readonly token: number | undefined;
  /** The token under the pointer, or with the focus. */
  readonly hovered: number | undefined;
}

export const INITIAL: ViewState = {
  view: undefined,
  differences: undefined,
  pinned: 0,
  preview: undefined,
  isSolo: false,
  sort: undefined,
  isFiltered: false,
  mode: 'lines',
  threshold: 0.05,
  hideSpecial: false,
  crossOnly: false,
  token: undefined,
  hovered: undefined,
};

/** How a head is drawn, of whatever view. */
export type DrawingOptions = Pick<ViewState, 'mode' | 'threshold' | 'hideSpecial' | 'crossOnly'>;

/** What the parts of the element ask for. */
export interface Actions {
  set(changes: Partial<ViewState>): void;
  pin(index: number): void;
  toggleMask(token: number): void;
}

export const shownHead = ({ preview, pinned }: ViewState): number => preview ?? pinned;

export const headName = (view: AttentionView, index: number): string =>
  `Layer ${Math.floor(index / view.heads) + 1}, head ${(index % view.heads) + 1}`;
