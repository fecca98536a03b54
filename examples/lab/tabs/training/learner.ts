import type { Loaded } from '../../shell/model-kind.ts';

/** A model that is trained where it is, and can be had as its checkpoint has it once more. */
export abstract class Learner<M extends Loaded> implements Loaded {
  #model: M | undefined;
  /** Whether the weights may not be those of the checkpoint any more. */
  #isUsed = false;
  #isDisposed = false;

  protected constructor(model: M) {
    this.#model = model;
  }

  /** Undefined where loading it anew has failed. */
  get model(): M | undefined {
    return this.#model;
  }

  /**
   * The model for a training that begins. Whatever was learned before is gone.
   * @param isFit whether the model that is there would do, if nothing has trained it
   */
  protected async anew(isFit: boolean, load: () => Promise<M>): Promise<M> {
    if (!this.#model || this.#isUsed || !isFit) {
      // Two models at once are more than many a GPU has room for.
      await this.#model?.dispose();
      this.#model = undefined;
      const model = await load();
      if (this.#isDisposed) await model.dispose();
      this.#model = model;
    }
    this.#isUsed = true;
    return this.#model;
  }

  /** The files of the model as it is now, and of its tokenizer; none where there is no model. */
  abstract files(signal: AbortSignal): Promise<File[]>;

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    await this.#model?.dispose();
  }
}
