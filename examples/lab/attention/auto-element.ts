import { BertAttention } from './element.ts';
import { type AttentionModel, loadAttentionModel } from './model-source.ts';
import { readAttention } from './source.ts';

/** As someone types, so long without a key. */
const PAUSE_MS = 120;

/**
 * <bert-attention model="sentence-transformers/all-MiniLM-L6-v2" text="The cat sleeps.">: loads the model that it names, where
 * `data` is not set by the page, and reads anew whenever an attribute changes. Attributes: model, text, pair, layer, head, dtype. Loading
 * and reading that fail give an `error` event, and stand in the element where no listener prevents that.
 */
export class AutoBertAttention extends BertAttention {
  static readonly observedAttributes = ['model', 'text', 'pair', 'layer', 'head', 'dtype'];
  #model: Promise<AttentionModel> | undefined;
  /** Ends the load: another model is wanted, or none. */
  #stopLoad = new AbortController();
  #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #masked = new Set<number>();

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('tokenmask', this.#onMask);
    if (this.hasAttribute('model')) this.#load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('tokenmask', this.#onMask);
    this.#unload();
  }

  attributeChangedCallback(name: string): void {
    if (!this.isConnected) return;
    if (name === 'model' || name === 'dtype') {
      this.#unload();
      this.#load();
    } else if (name === 'layer' || name === 'head') this.#select();
    else {
      // Other words have other places.
      this.#masked.clear();
      this.#read();
    }
  }

  readonly #onMask = (event: Event) => {
    const { index } = (event as CustomEvent<{ index: number }>).detail;
    if (!this.#masked.delete(index)) this.#masked.add(index);
    this.#read();
  };

  #select(): void {
    const numberOf = (name: string) => Number(this.getAttribute(name) ?? 0);
    this.selection = { layer: numberOf('layer'), head: numberOf('head') };
  }

  #load(): void {
    const name = this.getAttribute('model');
    if (!name) return;
    this.#stopLoad = new AbortController();
    const { signal } = this.#stopLoad;
    // By name: a bundler would keep all of the library for the whole namespace.
    const loading = import('webgpu-bert').then(
      ({ AutoModel, AutoModelForMaskedLM, AutoTokenizer, CheckpointError, UnsupportedError }) =>
        loadAttentionModel(
          { AutoModel, AutoModelForMaskedLM, AutoTokenizer, CheckpointError, UnsupportedError },
          name,
          {
            name,
            dtype: this.getAttribute('dtype') ?? 'fp32',
            signal,
          },
        ),
    );
    this.#model = loading;
    loading.then(
      () => !signal.aborted && this.#read(),
      error => !signal.aborted && this.fail(error),
    );
  }

  #unload(): void {
    this.#stop.abort();
    this.#stopLoad.abort();
    clearTimeout(this.#timer);
    // A model that failed to load has nothing to give back.
    void this.#model?.then(
      model => model.dispose(),
      () => undefined,
    );
    this.#model = undefined;
  }

  #read(): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#timer = setTimeout(() => void this.#readNow(signal), PAUSE_MS);
  }

  async #readNow(signal: AbortSignal): Promise<void> {
    const text = this.getAttribute('text') ?? '';
    const model = await this.#model?.catch(() => undefined);
    if (!model || signal.aborted || text === '') return;
    try {
      const pair = this.getAttribute('pair') ?? undefined;
      const isFirst = this.data === undefined;
      this.data = await readAttention(model.source, text, { pair, masked: [...this.#masked], signal });
      if (isFirst) this.#select();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }
}
