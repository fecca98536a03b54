import type { Colours } from './colours.ts';
import { button, checkbox, h } from './dom.ts';
import { type Grid, orderedHeads, overviewGrid, placeAfterKey, strongestHead } from './layout.ts';
import { paintOverview } from './paint.ts';
import { PATTERNS, type PatternId, patternIndex, strongestPattern } from './patterns.ts';
import { type Actions, headName, shownHead, type ViewState } from './state.ts';

/** The width of the layers' numbers before the rows. */
const LABEL_WIDTH = 22;

/** The pictures of all heads, with the patterns to sort and filter by. */
export class Overview {
  readonly root = h('section', { className: 'overview', aria: { label: 'All heads' } });
  readonly #actions: Actions;
  readonly #canvas = h('canvas', { aria: { hidden: 'true' } });
  readonly #labels = h('div', { className: 'layer-labels', aria: { hidden: 'true' } });
  readonly #cells = h('div', { className: 'cells', aria: { role: 'group', label: 'Heads, by arrow keys' } });
  readonly #board = h(
    'div',
    { className: 'board' },
    this.#labels,
    h('div', { className: 'canvas-box' }, this.#canvas, this.#cells),
  );
  readonly #chips = h('div', { className: 'chips', aria: { role: 'group', label: 'Sort by a pattern' } });
  readonly #about = h('p', { className: 'about' });
  readonly #filter = checkbox('Only heads that have it', isFiltered => this.#actions.set({ isFiltered }));
  #order: number[] = [];
  /** The cells that are marked in some way. */
  #marked: HTMLButtonElement[] = [];
  #grid: Grid = { columns: 1, rows: 1, cell: 24, gap: 4 };
  /** What the buttons were made for, so that typing does not make them anew. */
  #made = '';

  constructor(actions: Actions) {
    this.#actions = actions;
    const find = (id: PatternId) => () => {
      const { scores } = this.#state!.view!;
      actions.set({ sort: id });
      actions.pin(strongestHead(scores, id));
    };
    const finders = h(
      'div',
      { className: 'finders' },
      button('Find “next word” heads', find('next'), 'strong'),
      button('Find “same or related words” heads', find('same'), 'strong'),
    );
    for (const { id, title } of PATTERNS) {
      const chip = h(
        'button',
        { type: 'button', data: { pattern: id } },
        h('i', { vars: { '--dot': `var(--ba-${id})` } }),
        title,
        h('b', {}),
      );
      chip.onclick = () => actions.set({ sort: this.#state?.sort === id ? undefined : id });
      this.#chips.append(chip);
    }
    this.root.append(
      finders,
      this.#chips,
      this.#board,
      h('div', { className: 'sorted' }, this.#about, this.#filter.label),
    );
    this.#listen();
  }

  #state: ViewState | undefined;

  /** @param width of the element's part for the overview, in CSS pixels */
  update(state: ViewState, width: number, colours: Colours): void {
    this.#state = state;
    const { view, sort, isFiltered, differences } = state;
    if (!view || width <= 0) return;
    this.#order = orderedHeads(view.scores, { sort, filter: isFiltered ? sort : undefined });
    this.#grid = overviewGrid(width - LABEL_WIDTH, this.#order.length, view.heads);
    this.#makeCells(state);
    this.#showChips(state);
    paintOverview(this.#canvas, { view, differences, order: this.#order, grid: this.#grid }, colours);
    this.mark(state);
  }

  /** Shows which head is chosen and which is under the pointer; cheaper than an update. */
  mark(state: ViewState): void {
    this.#state = state;
    const stop = Math.max(0, this.#order.indexOf(state.pinned));
    // Of up to 384 cells, those that change are few.
    for (const cell of this.#marked) {
      cell.setAttribute('aria-pressed', 'false');
      cell.classList.remove('shown');
      cell.tabIndex = -1;
    }
    const cellOf = (place: number) => this.#cells.children[place] as HTMLButtonElement | undefined;
    const [pinned, shown, first] = [
      cellOf(this.#order.indexOf(state.pinned)),
      cellOf(this.#order.indexOf(shownHead(state))),
      // One of them is reached by Tab: the chosen one, or the first where that is not among them.
      cellOf(stop),
    ];
    pinned?.setAttribute('aria-pressed', 'true');
    shown?.classList.add('shown');
    if (first) first.tabIndex = 0;
    this.#marked = [pinned, shown, first].filter(cell => cell !== undefined);
  }

  #makeCells({ view, sort }: ViewState): void {
    const { columns, rows, cell, gap } = this.#grid;
    const made = `${columns} ${cell} ${sort} ${this.#order.join()}`;
    if (made === this.#made) return;
    this.#made = made;
    this.#board.style.setProperty('--cell', `${cell}px`);
    this.#board.style.setProperty('--gap', `${gap}px`);
    this.#cells.style.gridTemplateColumns = `repeat(${columns}, ${cell}px)`;
    const hadFocus = this.#cells.contains((this.root.getRootNode() as ShadowRoot).activeElement);
    this.#cells.replaceChildren(
      ...this.#order.map(index =>
        h('button', {
          type: 'button',
          tabIndex: -1,
          data: { index: String(index) },
          aria: { label: headName(view!, index), pressed: 'false' },
        }),
      ),
    );
    if (hadFocus) this.#focus(Math.max(0, this.#order.indexOf(this.#state?.pinned ?? 0)));
    const rowsOfLayer = Math.ceil(view!.heads / columns);
    this.#labels.replaceChildren(
      ...Array.from({ length: rows }, (_, row) =>
        h('span', { textContent: sort || row % rowsOfLayer > 0 ? '' : String(row / rowsOfLayer + 1) }),
      ),
    );
  }

  #showChips({ view, sort, isFiltered, differences }: ViewState): void {
    const { scores } = view!;
    const count = scores.length / PATTERNS.length;
    for (const chip of this.#chips.children) {
      const { pattern } = (chip as HTMLElement).dataset;
      chip.setAttribute('aria-pressed', String(pattern === sort));
      let having = 0;
      for (let index = 0; index < count; index++) if (strongestPattern(scores, index) === pattern) having++;
      chip.lastElementChild!.textContent = String(having);
    }
    this.#filter.label.hidden = !sort;
    this.#filter.input.checked = isFiltered;
    if (!sort) {
      this.#about.textContent = differences
        ? 'Each picture is the difference of a head: rows are tokens, columns what they look at. Click pins a head, double-click shows it alone.'
        : 'Each picture is a head: rows are tokens, columns what they look at. Its colour is its strongest pattern on this text. Click pins a head, double-click shows it alone.';
      return;
    }
    const { about, formula, threshold } = PATTERNS[patternIndex(sort)]!;
    const best = scores[strongestHead(scores, sort) * PATTERNS.length + patternIndex(sort)]!;
    const none =
      best < threshold
        ? ` No head reaches ${threshold.toFixed(2)} on this text; the strongest has ${best.toFixed(2)}.`
        : '';
    this.#about.replaceChildren(
      `${about} Score: `,
      h('code', { textContent: formula }),
      `, the strongest first; a head has the pattern from ${threshold.toFixed(2)} on.${none}`,
    );
  }

  #listen(): void {
    const indexOf = (event: Event) => {
      const { index } = (event.target as HTMLElement).dataset;
      return index === undefined ? undefined : Number(index);
    };
    const preview = (event: Event) => {
      const index = indexOf(event);
      if (index !== undefined && index !== this.#state?.preview) this.#actions.set({ preview: index });
    };
    const leave = () => this.#actions.set({ preview: undefined });
    this.#cells.addEventListener('pointerover', event => event.pointerType === 'mouse' && preview(event));
    this.#cells.addEventListener('pointerleave', leave);
    this.#cells.addEventListener('focusin', preview);
    this.#cells.addEventListener('focusout', leave);
    this.#cells.addEventListener('click', event => {
      const index = indexOf(event);
      if (index !== undefined) this.#actions.pin(index);
    });
    this.#cells.addEventListener('dblclick', event => {
      if (indexOf(event) !== undefined) this.#actions.set({ isSolo: true, preview: undefined });
    });
    this.#cells.addEventListener('keydown', event => {
      const place = this.#order.indexOf(indexOf(event) ?? -1);
      const to = placeAfterKey(event.key, place, this.#order.length, this.#grid.columns);
      if (to === undefined) return;
      event.preventDefault();
      this.#focus(to);
    });
  }

  #focus(place: number): void {
    (this.#cells.children[place] as HTMLButtonElement | undefined)?.focus();
  }
}
