import {
  AutoModelForSequenceClassification,
  AutoTokenizer,
  type ModelLocation,
  ModelRegistry,
  type PreTrainedTokenizer,
  type PretrainedOptions,
} from 'webgpu-bert';
import type { ModelKind } from '../../shell/model-kind.ts';
import { Learner } from './learner.ts';

type Model = Awaited<ReturnType<typeof AutoModelForSequenceClassification.from_pretrained>>;
type LoadOptions = Pick<PretrainedOptions, 'signal' | 'progress_callback'>;

export interface LabelScore {
  readonly label: string;
  readonly score: number;
}

/** A checkpoint with a head for labels of the person's own. Its weights are float32, as training needs them. */
export class Classifier extends Learner<Model> {
  readonly tokenizer: PreTrainedTokenizer;
  readonly #place: ModelLocation;
  #labels: readonly string[];

  private constructor(place: ModelLocation, tokenizer: PreTrainedTokenizer, model: Model, labels: readonly string[]) {
    super(model);
    this.#place = place;
    this.tokenizer = tokenizer;
    this.#labels = labels;
  }

  static async load(place: ModelLocation, labels: readonly string[], options: LoadOptions): Promise<Classifier> {
    const [model, tokenizer] = await Promise.all([
      loadModel(place, labels, options),
      AutoTokenizer.from_pretrained(place, { signal: options.signal }),
    ]);
    return new Classifier(place, tokenizer, model, labels);
  }

  get labels(): readonly string[] {
    return this.#labels;
  }

  /** The model as the checkpoint has it, with a new head for these labels. */
  async renewed(labels: readonly string[], options: LoadOptions): Promise<Model> {
    const isFit = labels.length === this.#labels.length && labels.every((label, i) => label === this.#labels[i]);
    return this.anew(isFit, async () => {
      const model = await loadModel(this.#place, labels, options);
      this.#labels = labels;
      return model;
    });
  }

  /** The probability of every label, the likeliest first; undefined where there is no model. */
  async classify(text: string): Promise<LabelScore[] | undefined> {
    if (!this.model) return undefined;
    const labels = this.#labels;
    const { logits } = await this.model(this.tokenizer(text, { truncation: true }));
    const scores = softmax(logits.data as Float32Array);
    return labels.map((label, i) => ({ label, score: scores[i]! })).sort((a, b) => b.score - a.score);
  }

  async files(signal: AbortSignal): Promise<File[]> {
    return this.model?.save_pretrained({ signal }) ?? [];
  }
}

function loadModel(place: ModelLocation, labels: readonly string[], options: LoadOptions): Promise<Model> {
  return AutoModelForSequenceClassification.from_pretrained(place, {
    ...options,
    id2label: Object.fromEntries(labels.entries()),
    // A checkpoint that has a head already has it for other labels.
    ignore_mismatched_sizes: true,
    problem_type: 'single_label_classification',
  });
}

function softmax(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const powers = Array.from(logits, logit => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(power => power / sum);
}

/** @param labels those of the lines that are there when a model is loaded; a training with others makes its head anew */
export const classifierKind = (labels: () => readonly string[]): ModelKind<Classifier> => ({
  name: 'training a classifier',
  load: (place, { signal, progress_callback }) => Classifier.load(place, labels(), { signal, progress_callback }),
  size: (place, options) => ModelRegistry.get_download_size(place, options),
  isKept: place => ModelRegistry.is_cached(place),
});
