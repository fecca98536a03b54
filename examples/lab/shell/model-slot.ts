import { type Signal, signal } from '@preact/signals';
import type { ProgressCallback } from 'webgpu-bert';
import type { CuratedModel, CuratedTask } from '../curated.ts';
import { curated, curatedById } from '../curated.ts';
import { type LoadProgress, NO_PROGRESS, progressAfter } from './load-progress.ts';
import { localModelList } from './local-models.ts';
import { type ModelChoice, nameOf, placeOfChoice } from './model-choice.ts';
import type { Loaded, ModelKind } from './model-kind.ts';
import { type Lease, modelStore } from './model-store.ts';
import { setParams, tabId } from './route.ts';
import { support } from './support.ts';

/** Downloads of more bytes than this are asked about first. */
const ASK_BYTES = 5e6;

export type SlotState<M> =
  | { readonly phase: 'empty' }
  | { readonly phase: 'checking' }
  /** A download of so many bytes waits for a yes. */
  | { readonly phase: 'asking'; readonly bytes: number }
  | { readonly phase: 'stopped' }
  | { readonly phase: 'loading'; readonly progress: LoadProgress }
  | { readonly phase: 'ready'; readonly model: M; readonly elapsedMs: number }
  | { readonly phase: 'failed'; readonly error: unknown };

export interface SlotOptions {
  /** The tab, and the name of its setting in the address; several slots of a tab have several names. */
  readonly tab: string;
  readonly param?: string;
  /** Which of the curated models are offered. The first is taken where the address names none. */
  readonly task: CuratedTask;
  /** A tab that does without this model at first starts empty. */
  readonly startsEmpty?: boolean;
  /** The model is to be trained: it is loaded in float32, and no other kind of weights is offered. */
  readonly isFloat32?: boolean;
}

/** The place of one model in a tab: what is chosen, how far it is, and the model. Made once for a tab, outside its view. */
export class ModelSlot<M extends Loaded> {
  readonly kind: ModelKind<M>;
  readonly options: SlotOptions;
  readonly choice: Signal<ModelChoice | undefined>;
  readonly dtype = signal('fp32');
  readonly state: Signal<SlotState<M>> = signal<SlotState<M>>({ phase: 'empty' });
  #lease: Lease<M> | undefined;
  #stop = new AbortController();
  #isShown = false;
  /** Whether a person has said yes to the load: it goes on when the tab is left. */
  #isAccepted = false;
  /** The model where the address names none. */
  readonly #usual: { readonly id: string } | undefined;
  /** What the address named when it was last followed or written; undefined until it was. */
  #named: string | undefined;

  constructor(kind: ModelKind<M>, options: SlotOptions) {
    this.kind = kind;
    this.options = options;
    const first: CuratedModel | undefined = curated[options.task][0];
    this.#usual = options.startsEmpty || !first ? undefined : { id: first.id };
    this.choice = signal(this.#usual);
  }

  /** The model, where it is loaded. */
  get model(): M | undefined {
    const state = this.state.value;
    return state.phase === 'ready' ? state.model : undefined;
  }

  /** The tab is shown: what the address names is loaded, or asked about. */
  open(address: URLSearchParams): void {
    this.#isShown = true;
    const isOther = this.#read(address);
    if (this.state.value.phase === 'loading' && !isOther) return;
    if (this.choice.value && this.#lease === undefined) void this.#begin(false);
  }

  /** The address has changed while the tab is shown: the model is another one where a link, or the way back, names another. */
  follow(address: URLSearchParams): void {
    // The settings of the next tab are none of this one, which is about to go.
    if (tabId.peek() !== this.options.tab || !this.#read(address)) return;
    this.#end(new DOMException('Another model was chosen.', 'AbortError'));
    this.state.value = { phase: 'empty' };
    if (this.choice.value) void this.#begin(false);
  }

  /**
   * Takes what the address names. What it has named before says nothing new: a folder that was chosen since has no name for an address.
   * @returns whether that is another model
   */
  #read(address: URLSearchParams): boolean {
    const named = this.#namedBy(address);
    if (named === this.#named) return false;
    const isFirst = this.#named === undefined;
    this.#named = named;
    const { choice, dtype } = this;
    const before = `${choice.value && nameOf(choice.value)} ${dtype.value}`;
    const wanted = address.get(this.#param);
    if (wanted) choice.value = { id: wanted };
    else if (!isFirst) choice.value = this.#usual;
    const asked = address.get(`${this.#param}-dtype`);
    if (!this.options.isFloat32) dtype.value = asked === 'fp16' || asked === 'q8' ? asked : 'fp32';
    return `${choice.value && nameOf(choice.value)} ${dtype.value}` !== before;
  }

  #namedBy(address: URLSearchParams): string {
    return JSON.stringify([address.get(this.#param), address.get(`${this.#param}-dtype`)]);
  }

  /** The tab is left: the model stays loaded until another one needs the room. A download that a person has said yes to goes on. */
  close(): void {
    this.#isShown = false;
    if (this.#isAccepted && this.state.value.phase === 'loading') return;
    this.#end(new DOMException('The tab was left.', 'AbortError'));
    this.state.value = { phase: 'empty' };
  }

  choose(choice: ModelChoice | undefined, dtype = this.dtype.value): void {
    this.choice.value = choice;
    this.dtype.value = dtype;
    const id = choice && 'id' in choice && choice.id !== this.#usual?.id ? choice.id : undefined;
    const dtypeName = choice && dtype !== 'fp32' ? dtype : undefined;
    this.#named = JSON.stringify([id ?? null, dtypeName ?? null]);
    setParams(this.options.tab, { [this.#param]: id, [`${this.#param}-dtype`]: dtypeName });
    this.#end(new DOMException('Another model was chosen.', 'AbortError'));
    this.state.value = { phase: 'empty' };
    if (choice) void this.#begin(false);
  }

  /** The download that was asked about may begin. Also tries once more what has failed. */
  accept(): void {
    void this.#begin(true);
  }

  stop(): void {
    this.#end(new DOMException('Stopped.', 'AbortError'));
    this.state.value = { phase: 'stopped' };
  }

  /** The model that is chosen, for work that goes on when the tab is left: it stays loaded until the lease is released. */
  hold(choice: ModelChoice): Promise<Lease<M>> {
    return this.#acquire(choice, new AbortController().signal, () => {});
  }

  #acquire(choice: ModelChoice, signal: AbortSignal, onProgress: ProgressCallback): Promise<Lease<M>> {
    return modelStore.acquire({ ...this.#loadOf(choice), place: () => placeOfChoice(choice), signal, onProgress });
  }

  /** What tells the load from any other. */
  #loadOf(choice: ModelChoice) {
    return { kind: this.kind, name: nameOf(choice), dtype: this.dtype.value };
  }

  get #param(): string {
    return this.options.param ?? 'model';
  }

  #end(reason: DOMException): void {
    this.#stop.abort(reason);
    this.#lease?.release();
    this.#lease = undefined;
  }

  async #begin(isAccepted: boolean): Promise<void> {
    const choice = this.choice.value;
    if (!choice) return;
    this.#end(new DOMException('Begun anew.', 'AbortError'));
    this.#stop = new AbortController();
    this.#isAccepted = isAccepted;
    const { signal } = this.#stop;
    this.state.value = { phase: 'checking' };
    try {
      if (!(await support()).ok) {
        if (!signal.aborted) this.state.value = { phase: 'empty' };
        return;
      }
      const bytes = isAccepted ? 0 : await this.#bytesToCome(choice, signal);
      if (signal.aborted) return;
      if (bytes > ASK_BYTES) {
        this.state.value = { phase: 'asking', bytes };
        return;
      }
      await this.#load(choice, signal);
    } catch (error) {
      if (!signal.aborted) this.state.value = { phase: 'failed', error };
    }
  }

  async #bytesToCome(choice: ModelChoice, signal: AbortSignal): Promise<number> {
    // Files of a folder, and models that lie beside the page, are no download.
    if ('folder' in choice || (await localModelList()).includes(choice.id)) return 0;
    // Another tab has it, or a person has said yes to it there.
    if (modelStore.has(this.#loadOf(choice))) return 0;
    const place = await placeOfChoice(choice);
    if (await this.kind.isKept(place)) return 0;
    // What a curated model weighs is known: the hub is asked for nothing before a person says yes, and without a connection neither.
    const known = curatedById.get(choice.id);
    if (known) return known.megabytes * 1e6;
    return (await this.kind.size(place, { signal })).download;
  }

  async #load(choice: ModelChoice, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    let progress = NO_PROGRESS;
    this.state.value = { phase: 'loading', progress };
    const lease = await this.#acquire(choice, signal, info => {
      if (signal.aborted || this.state.value.phase !== 'loading') return;
      const next = progressAfter(progress, info);
      if (next === progress) return;
      progress = next;
      this.state.value = { phase: 'loading', progress };
    });
    if (!this.#isShown) {
      lease.release();
      this.state.value = { phase: 'empty' };
      return;
    }
    this.#lease = lease;
    this.state.value = { phase: 'ready', model: lease.model, elapsedMs: performance.now() - began };
  }
}
