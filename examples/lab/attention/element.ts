import { type Colours, readColours } from './colours.ts';
import { compared, mismatch } from './compare.ts';
import { h } from './dom.ts';
import { type HeadImage, headPng, headSvg, save } from './export.ts';
import { HeadPanel } from './head-panel.ts';
import { strongestHead } from './layout.ts';
import { Overview } from './overview.ts';
import { tintOf } from './paint.ts';
import { type Snapshot, snapshotOf } from './snapshot.ts';
import { type Actions, type DrawingOptions, headName, INITIAL, shownHead, type ViewState } from './state.ts';
import styles from './styles.css?inline';
import type { AttentionView } from './types.ts';

/** What attention does not explain: https://arxiv.org/abs/1902.10186, https://arxiv.org/abs/1908.04626. */
const HONEST =
  'Attention shows where a head takes its input from, not why the model answers as it does: what flows along a line, and what later layers make of it, is not in the picture.';

export interface HeadSelection {
  /** From 0. */
  readonly layer: number;
  readonly head: number;
}

export interface BertAttentionEvents {
  /** A head was chosen. */
  headselect: CustomEvent<HeadSelection>;
  /** How heads are drawn was changed. */
  drawingchange: CustomEvent<DrawingOptions>;
  /** A token is to be masked, or no longer: whoever sets `data` reads the attention anew. */
  tokenmask: CustomEvent<{ index: number }>;
}

/**
 * The attention of every head of a model on a text: <bert-attention>. Set `data` to a view (source.ts, snapshot.ts); or use
 * AutoBertAttention (auto-element.ts), which loads the model that its attribute names.
 */
export class BertAttention extends HTMLElement {
  readonly #root: ShadowRoot;
  readonly #probe = h('span', { className: 'probe', aria: { hidden: 'true' } });
  readonly #box = h('div', { className: 'view' });
  readonly #notice = h('p', { className: 'notice', aria: { live: 'polite' } });
  /** What has failed, or is to be known of what was saved. */
  readonly #message = h('p', {});
  readonly #note = h('p', { className: 'footnote', textContent: HONEST });
  readonly #overview: Overview;
  readonly #panel: HeadPanel;
  readonly #resize = new ResizeObserver(() => this.#schedule());
  readonly #scheme = matchMedia('(prefers-color-scheme: dark)');
  readonly #repaint = () => this.repaint();
  #state: ViewState = INITIAL;
  #data: AttentionView | undefined;
  #compare: AttentionView | undefined;
  #colours: Colours | undefined;
  #frame = 0;
  #reading = new AbortController();
  /** Whether the attention of the head in view could not be read. */
  #isUnread = false;

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: 'open' });
    const actions: Actions = {
      set: changes => {
        this.#set(changes);
        if (Object.keys(changes).some(name => name in this.drawing)) this.#emit('drawingchange', this.drawing);
      },
      pin: index => this.#pin(index),
      toggleMask: index => this.#emit('tokenmask', { index }),
    };
    this.#overview = new Overview(actions);
    this.#panel = new HeadPanel({
      ...actions,
      save: format => void this.#save(format).catch(error => this.fail(error)),
    });
    this.#box.append(this.#overview.root, this.#panel.root, this.#panel.scores, this.#note);
    this.#root.append(h('style', { textContent: styles }), this.#probe, this.#notice, this.#box);
    this.#box.hidden = this.#notice.hidden = true;
  }

  connectedCallback(): void {
    this.#colours = undefined;
    this.#resize.observe(this);
    this.#scheme.addEventListener('change', this.#repaint);
    this.#root.addEventListener('keydown', this.#onKey as EventListener);
  }

  disconnectedCallback(): void {
    this.#resize.disconnect();
    this.#scheme.removeEventListener('change', this.#repaint);
    this.#root.removeEventListener('keydown', this.#onKey as EventListener);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#reading.abort();
  }

  /** What is shown. A new view of as many heads keeps what was chosen. */
  get data(): AttentionView | undefined {
    return this.#data;
  }

  set data(view: AttentionView | undefined) {
    const isFirst = !this.#data;
    this.#data = view;
    this.#tell();
    // The clearest head there is to begin with.
    if (isFirst && view) this.#state = { ...this.#state, pinned: strongestHead(view.scores, 'next') };
    this.#apply();
  }

  /** Another view, which `data` is compared with: differences are shown in place of attention. See mismatch() for what must be alike. */
  get compare(): AttentionView | undefined {
    return this.#compare;
  }

  set compare(view: AttentionView | undefined) {
    this.#compare = view;
    this.#apply();
  }

  /** The chosen head, counted from 0. One that the model does not have is not taken. */
  get selection(): HeadSelection {
    const heads = this.#state.view?.heads ?? 1;
    return { layer: Math.floor(this.#state.pinned / heads), head: this.#state.pinned % heads };
  }

  set selection({ layer, head }: HeadSelection) {
    const view = this.#state.view ?? this.#data;
    const isIn = (place: number, count: number) => Number.isInteger(place) && place >= 0 && place < count;
    if (view && isIn(layer, view.layers) && isIn(head, view.heads)) this.#set({ pinned: layer * view.heads + head });
  }

  /** How heads are drawn. */
  get drawing(): DrawingOptions {
    const { mode, threshold, hideSpecial, crossOnly } = this.#state;
    return { mode, threshold, hideSpecial, crossOnly };
  }

  set drawing(options: DrawingOptions) {
    this.#set(options);
  }

  /** Every head as JSON; undefined without `data`. */
  async snapshot(): Promise<Snapshot | undefined> {
    return this.#data && snapshotOf(this.#data);
  }

  /** Colours are read from the style once: each costs the browser a look at all styles. A page that changes them says so. */
  repaint(): void {
    this.#colours = undefined;
    this.#schedule();
  }

  #apply(): void {
    const data = this.#data;
    const other = this.#compare;
    const comparison = data && other && compared(data, other);
    const view = comparison?.view ?? data;
    const { pinned, token } = this.#state;
    this.#set({
      view,
      differences: comparison?.differences,
      pinned: view && pinned < view.layers * view.heads ? pinned : 0,
      token: token !== undefined && view && token < view.tokens.length ? token : undefined,
      preview: undefined,
      hovered: undefined,
    });
    this.#box.hidden = !view;
    this.#showNotice();
  }

  /** What must be known to read the pictures: that they are differences, or why there are none; that the text was cut. */
  #showNotice(): void {
    const [data, other] = [this.#data, this.#compare];
    const parts: (Node | string)[] = [];
    if (data?.cutFrom) parts.push(`The first ${data.tokens.length} of ${data.cutFrom} tokens are shown. `);
    if (data && other) {
      const reason = mismatch(data, other);
      // Of one model it is the texts that differ.
      const nameOf = (view: AttentionView) => (data.name === other.name ? `“${view.text}”` : view.name);
      if (reason) parts.push(reason);
      else {
        const dot = (colour: string) => h('i', { vars: { '--dot': `var(--ba-${colour})` } });
        parts.push(
          'Differences: ',
          dot('more'),
          ` more attention in ${nameOf(data)}, `,
          dot('less'),
          ` more in ${nameOf(other)}`,
        );
      }
    }
    this.#notice.replaceChildren(...parts);
    this.#notice.hidden = parts.length === 0;
  }

  #set(changes: Partial<ViewState>): void {
    const before = this.#state;
    this.#state = { ...before, ...changes };
    const { view } = this.#state;
    this.#box.classList.toggle('solo', this.#state.isSolo);
    // The focus would go with the picture of the head.
    if (!before.isSolo && this.#state.isSolo && this.#overview.root.contains(this.#root.activeElement)) {
      this.#panel.solo.focus();
    }
    if (!view) return;
    const names = Object.keys(changes);
    const isLight = names.every(name => name === 'preview' || name === 'hovered');
    if (isLight) {
      this.#overview.mark(this.#state);
      if ('preview' in changes) this.#panel.show(this.#state);
      if ('hovered' in changes) this.#panel.drawing.focusOn(this.#state);
    } else this.#schedule();
    if (view !== before.view || shownHead(this.#state) !== shownHead(before)) void this.#readMap();
  }

  #pin(index: number): void {
    this.#set({ pinned: index, preview: undefined });
    this.#emit('headselect', this.selection);
  }

  /** Several changes of one moment are one update. */
  #schedule(): void {
    // A frame that is asked for stays: changes that come faster than frames would put it off again and again.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#colours ??= readColours(this.#probe);
      const colours = this.#colours;
      this.#overview.update(this.#state, this.#overview.root.clientWidth, colours);
      this.#panel.update(this.#state, this.#panel.root.clientWidth, colours);
    });
  }

  /** The attention of the head in view; of a long text it is computed when it is asked for. */
  async #readMap(): Promise<void> {
    this.#reading.abort();
    this.#reading = new AbortController();
    const { signal } = this.#reading;
    const { view } = this.#state;
    if (!view) return;
    const index = shownHead(this.#state);
    try {
      const map = await view.map(Math.floor(index / view.heads), index % view.heads, signal);
      if (signal.aborted) return;
      this.#panel.drawing.map = map;
      if (this.#isUnread) this.#tell();
      this.#isUnread = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#isUnread = true;
      this.fail(error);
    }
  }

  /** Tells the page by an `error` event; unless a listener prevents that, the reason stands in the element. */
  protected fail(error: unknown): void {
    const event = new ErrorEvent('error', { error, message: String(error), cancelable: true });
    if (this.dispatchEvent(event)) this.#tell('failure', error instanceof Error ? error.message : String(error));
  }

  /** Beside the buttons that it may come from, where these are in view. Without words what was told is taken back. */
  #tell(kind: 'failure' | 'saved' = 'saved', words = ''): void {
    this.#message.remove();
    if (words === '') return;
    Object.assign(this.#message, {
      className: kind,
      role: kind === 'failure' ? 'alert' : 'status',
      textContent: words,
    });
    if (this.#box.hidden) this.#box.before(this.#message);
    else this.#panel.line.after(this.#message);
  }

  readonly #onKey = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && this.#state.isSolo) this.#set({ isSolo: false });
  };

  #emit<Type extends keyof BertAttentionEvents>(type: Type, detail: BertAttentionEvents[Type]['detail']): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  async #save(format: 'png' | 'svg' | 'json'): Promise<void> {
    const { view, mode, threshold, hideSpecial, crossOnly, token, differences } = this.#state;
    const { map } = this.#panel.drawing;
    if (!view || !map || !this.#colours) return;
    this.#tell();
    const index = shownHead(this.#state);
    const name = `attention-layer-${Math.floor(index / view.heads) + 1}-head-${(index % view.heads) + 1}`;
    if (format === 'json') {
      const snapshot = await snapshotOf(this.#data ?? view);
      save(new Blob([JSON.stringify(snapshot)], { type: 'application/json' }), 'attention.json');
      return;
    }
    const image: HeadImage = {
      view,
      map,
      mode,
      title: `${view.name} · ${headName(view, index)}`,
      options: { threshold, hideSpecial, crossOnly, focus: mode === 'lines' ? token : undefined },
      tint: tintOf(view, index, differences !== undefined, this.#colours),
      ink: this.#colours.ink,
      paper: this.#colours.paper,
    };
    if (format === 'svg') save(new Blob([headSvg(image)], { type: 'image/svg+xml' }), `${name}.svg`);
    else {
      const { blob, share } = await headPng(image);
      save(blob, `${name}.png`);
      if (share < 1) {
        const percent = Math.round(share * 100);
        this.#tell(
          'saved',
          `Saved at ${percent} % of its usual size, the largest that this browser paints. The SVG is sharp at any size.`,
        );
      }
    }
  }
}
