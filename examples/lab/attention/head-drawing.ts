import type { Colours } from './colours.ts';
import { css } from './colours.ts';
import { h } from './dom.ts';
import { paintCurves, paintMatrix, type Tint, tintOf } from './paint.ts';
import { curves, matrixLayout, shownName, shownTokens, shownWeights, type Weight } from './scene.ts';
import { type Actions, shownHead, type ViewState } from './state.ts';

/** A token's row, in CSS pixels. */
export const ROW_HEIGHT = 26;
/** The lines take what the columns of tokens leave, but no more than this. */
const MOST_LINES = 420;
const LABELS = 96;

/** The drawing of one head: lines between two columns of tokens, or a matrix. Tokens are buttons, so that keys and fingers reach them. */
export class HeadDrawing {
  readonly root = h('div', { className: 'drawing' });
  readonly #actions: Actions;
  readonly #canvas = h('canvas', { aria: { hidden: 'true' } });
  readonly #left = h('div', { className: 'tokens from', aria: { role: 'group', label: 'Tokens that look' } });
  readonly #right = h('div', { className: 'tokens to', aria: { label: 'Tokens that are looked at', role: 'group' } });
  readonly #readout = h('p', { className: 'readout', aria: { live: 'off' } });
  #map: Float32Array | undefined;
  #state: ViewState | undefined;
  #colours: Colours | undefined;
  #width = 0;
  #made = '';
  #cell = 0;

  constructor(actions: Actions) {
    this.#actions = actions;
    this.root.append(this.#left, this.#canvas, this.#right, this.#readout);
    this.#listen();
  }

  /** The attention of the head in view, [L, L]. */
  set map(map: Float32Array | undefined) {
    this.#map = map;
    this.draw();
  }

  get map(): Float32Array | undefined {
    return this.#map;
  }

  /** The token that was chosen, or the first. */
  get focusable(): HTMLElement | null {
    return this.#left.querySelector('[aria-pressed="true"]') ?? this.#left.querySelector('button');
  }

  update(state: ViewState, width: number, colours: Colours): void {
    this.#state = state;
    this.#width = width;
    this.#colours = colours;
    this.#makeTokens();
    this.draw();
  }

  /** The token that is in focus: under the pointer, or else the one that was chosen. */
  focusOn(state: ViewState): void {
    this.#state = state;
    this.draw();
  }

  #makeTokens(): void {
    const { view, hideSpecial, crossOnly, mode } = this.#state!;
    const { tokens } = view!;
    const { from, to } = shownTokens(tokens, { hideSpecial, crossOnly });
    const labels = Math.min(LABELS, this.#width / 3);
    const layout = matrixLayout(to.length, this.#width - labels - 8);
    this.#cell = mode === 'matrix' ? layout.cell : ROW_HEIGHT;
    this.root.className = `drawing ${mode} ${mode === 'matrix' && !layout.hasLabels ? 'bare' : ''}`;
    this.root.style.setProperty('--row', `${this.#cell}px`);
    this.root.style.setProperty('--labels', `${labels}px`);
    const made = JSON.stringify([tokens.map(token => [token.text, token.isMasked]), from, to, mode, this.#cell]);
    if (made === this.#made) return;
    const active = (this.root.getRootNode() as ShadowRoot).activeElement as HTMLElement | null;
    const focused = this.#left.contains(active) ? active?.dataset.token : undefined;
    this.#made = made;
    const nameOf = (i: number) => shownName(tokens[i]!);
    const classOf = (i: number) => (tokens[i]!.word === null ? 'special' : tokens[i]!.isMasked ? 'masked' : '');
    this.#left.replaceChildren(
      ...from.map(i =>
        h(
          'button',
          {
            type: 'button',
            className: classOf(i),
            data: { token: String(i) },
            title: tokens[i]!.isMasked ? tokens[i]!.text : '',
          },
          nameOf(i),
        ),
      ),
    );
    this.#right.replaceChildren(
      ...to.map(i =>
        h(
          'span',
          { className: classOf(i), data: { token: String(i) } },
          h('span', { textContent: nameOf(i) }),
          h('b', {}),
        ),
      ),
    );
    if (focused !== undefined) this.#left.querySelector<HTMLElement>(`[data-token="${focused}"]`)?.focus();
  }

  draw(): void {
    const [state, colours, map] = [this.#state, this.#colours, this.#map];
    const view = state?.view;
    if (!state || !colours || !view || map?.length !== view.tokens.length ** 2) return;
    const { hideSpecial, crossOnly, threshold, mode, token, hovered, differences } = state;
    const options = { threshold, hideSpecial, crossOnly };
    const shown = shownTokens(view.tokens, options);
    const focus = [hovered, token].find(i => i !== undefined && shown.from.includes(i));
    const weights = shownWeights(map, view.tokens, mode === 'lines' ? { ...options, focus } : options);
    const tint = tintOf(view, shownHead(state), differences !== undefined, colours);
    if (mode === 'lines') {
      const width = Math.max(60, Math.min(MOST_LINES, this.#width - 2 * Math.min(150, this.#width * 0.34)));
      const height = Math.max(shown.from.length, shown.to.length) * ROW_HEIGHT;
      const drawn = curves(weights, shown, { rowHeight: ROW_HEIGHT, width });
      paintCurves(this.#canvas, { curves: drawn, width, height, tint });
    } else paintMatrix(this.#canvas, { weights, ...shown, cell: this.#cell, tint, ink: colours.ink });
    this.#showFocus(focus, map, view.tokens.length, tint);
  }

  #showFocus(focus: number | undefined, map: Float32Array, L: number, tint: Tint): void {
    const chosen = this.#state?.token;
    for (const element of this.#left.children) {
      const i = Number((element as HTMLElement).dataset.token);
      element.setAttribute('aria-pressed', String(i === chosen));
      element.classList.toggle('focus', i === focus);
    }
    for (const element of this.#right.children as HTMLCollectionOf<HTMLElement>) {
      const weight = focus === undefined ? 0 : map[focus * L + Number(element.dataset.token)]!;
      const opacity = Math.min(0.42, Math.abs(weight) ** 0.7 * 0.5);
      element.classList.toggle('looked', Math.abs(weight) >= 0.01);
      element.style.background = weight === 0 ? '' : css(tint(weight), opacity);
      element.lastElementChild!.textContent = focus === undefined || Math.abs(weight) < 0.01 ? '' : weight.toFixed(2);
    }
    this.#readout.textContent = focus === undefined ? '' : this.#sentence(focus, map, L);
  }

  /** Where a token looks, in words: the way for those who do not see the drawing. */
  #sentence(focus: number, map: Float32Array, L: number): string {
    const { tokens } = this.#state!.view!;
    const row: Weight[] = Array.from({ length: L }, (_, to) => ({ from: focus, to, value: map[focus * L + to]! }));
    const best = row.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 3);
    return `“${shownName(tokens[focus]!)}” looks at ${best.map(({ to, value }) => `${shownName(tokens[to]!)} ${value.toFixed(2)}`).join(', ')}.`;
  }

  #listen(): void {
    const tokenOf = (event: Event) => {
      const element = (event.target as HTMLElement).closest<HTMLElement>('[data-token]');
      return element ? Number(element.dataset.token) : undefined;
    };
    const enter = (event: Event) => {
      const hovered = tokenOf(event);
      if (hovered !== undefined && hovered !== this.#state?.hovered) this.#actions.set({ hovered });
    };
    const leave = () => {
      if (this.#state?.hovered !== undefined) this.#actions.set({ hovered: undefined });
    };
    this.#left.addEventListener('pointerover', event => event.pointerType === 'mouse' && enter(event));
    this.#left.addEventListener('pointerleave', leave);
    this.#left.addEventListener('focusin', enter);
    this.#left.addEventListener('focusout', leave);
    this.#left.addEventListener('click', event => {
      const token = tokenOf(event);
      // The second click of two that mask a token would put it down again.
      if (token !== undefined && event.detail < 2)
        this.#actions.set({ token: this.#state?.token === token ? undefined : token });
    });
    this.#left.addEventListener('dblclick', event => {
      const token = tokenOf(event);
      if (token === undefined) return;
      this.#actions.set({ token });
      this.#actions.toggleMask(token);
    });
    this.#left.addEventListener('keydown', event => this.#key(event, tokenOf(event)));
    this.#canvas.addEventListener('pointermove', event => this.#point(event));
    this.#canvas.addEventListener('pointerleave', leave);
  }

  /** Arrows move between tokens, M masks one. */
  #key(event: KeyboardEvent, token: number | undefined): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      const all = [...this.#left.children] as HTMLElement[];
      all[all.indexOf(event.target as HTMLElement) + step]?.focus();
      event.preventDefault();
    } else if (event.key === 'm' && token !== undefined) this.#actions.toggleMask(token);
  }

  /** The number under the pointer in a matrix. */
  #point(event: PointerEvent): void {
    const [state, map] = [this.#state, this.#map];
    if (!state?.view || !map || state.mode !== 'matrix') return;
    const { tokens } = state.view;
    const { from, to } = shownTokens(tokens, state);
    const i = from[Math.floor(event.offsetY / this.#cell)];
    const j = to[Math.floor(event.offsetX / this.#cell)];
    if (i === undefined || j === undefined) return;
    this.#readout.textContent = `“${shownName(tokens[i]!)}” looks at “${shownName(tokens[j]!)}”: ${map[i * tokens.length + j]!.toFixed(3)}`;
  }
}
