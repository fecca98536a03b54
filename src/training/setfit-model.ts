import { PreTrainedModel } from '../api/index.ts';
import { InputError, wrong } from '../errors.ts';
import { loadPipeline, type pipeline } from '../pipeline.ts';
import type { FeatureExtractionPipeline } from '../tasks/index.ts';
import { GivenFields } from './given-fields.ts';
import { fitLogistic, type LogisticHead, logisticScores } from './logistic.ts';
import { BodyFiles, configFile, labelsOfFile, readHead, withHead } from './setfit-files.ts';

/**
 * Few-shot classification (Tunstall et al., arXiv 2209.11055): an embedder is trained with pairs of texts, which have the same label or not;
 * then a logistic regression on its embeddings. Names and defaults are those of setfit 1.2.
 */

export interface SetFitModelOptions {
  /** The names of the classes. Default: those of the files, or of the records, in the order in which they come. */
  readonly labels?: readonly string[] | null;
  /** Arguments of the head, with sklearn's names: `C` is the inverse strength of the L2 penalty. Default: { C: 1 }. */
  readonly head_params?: { readonly C?: number | null } | null;
}

/** What its calls take. */
export interface SetFitCallOptions {
  /** Aborts the call: it rejects at once with the signal's reason. */
  readonly signal?: AbortSignal | null;
}

/** A text classifier made of an embedder and a head. */
export class SetFitModel {
  /** The embedder. */
  readonly model_body: FeatureExtractionPipeline;
  labels: readonly string[] | undefined;
  #head: LogisticHead | undefined;
  readonly #C: number;

  /**
   * Throws InputError for labels that are no names, and for a C that is not above 0.
   * @param model_body pipeline('feature-extraction', …)
   */
  constructor(model_body: FeatureExtractionPipeline, { labels, head_params }: SetFitModelOptions = {}) {
    if (labels) checkLabels(labels);
    const params = new GivenFields('head_params', head_params);
    params.checkNames(['C']);
    this.#C = params.number('C', 1);
    if (this.#C <= 0) throw wrong('C', this.#C, 'a number above 0');
    this.model_body = model_body;
    this.labels = labels ?? undefined;
  }

  /**
   * Loads an embedder to be trained, or what `save_pretrained` has written, with its labels and its head. Takes what `pipeline` does, and
   * throws what it does; InputError where `labels` are not as many as the head has classes, UnsupportedError for embeddings that Python's
   * setfit normalizes. Python's own head, a pickle, is not read: fit another one.
   */
  static async from_pretrained(
    model: Parameters<typeof pipeline>[1],
    options: SetFitModelOptions & NonNullable<Parameters<typeof pipeline>[2]> = {},
  ): Promise<SetFitModel> {
    const { labels = null, head_params = null, ...rest } = options;
    const files = new BodyFiles();
    const body = await loadPipeline('feature-extraction', model, rest, files.of);
    try {
      const { signal } = rest;
      const source = PreTrainedModel.engineOf(body.model).files(signal ?? new AbortController().signal)!.root;
      const names = labels ?? (await labelsOfFile(source)) ?? null;
      const loaded = new SetFitModel(body, { labels: names, head_params });
      if (files.head !== undefined) loaded.#head = await readHead(source, files.head, signal);
      const { classes = names?.length } = loaded.#head ?? {};
      if (names && classes !== names.length) {
        throw wrong('labels', names, `${classes} names, as many as the head of the model has classes`);
      }
      return loaded;
    } catch (error) {
      await body.dispose();
      throw error;
    }
  }

  /** Whether it has a head, so that it can classify. */
  get has_head(): boolean {
    return this.#head !== undefined;
  }

  /**
   * Trains the head alone: a logistic regression on the embeddings of texts, as sklearn's with its defaults and `head_params`. Every text is
   * embedded once. Throws InputError where the two lists differ in number, or a class has no text.
   * @param labels the class of each text, by number
   */
  async fit(texts: readonly string[], labels: readonly number[], { signal }: SetFitCallOptions = {}): Promise<void> {
    const classes = this.labels?.length ?? Math.max(...labels) + 1;
    if (texts.length !== labels.length || texts.length === 0) {
      throw new InputError({
        what: 'texts and labels differ in number',
        actual: `${texts.length} and ${labels.length}`,
        expected: 'as many of both, at least one',
      });
    }
    const lacking = Array.from({ length: classes }, (_, k) => k).find(k => !labels.includes(k));
    if (lacking !== undefined || classes < 2) {
      throw new InputError({
        what: 'a head needs texts of every class, of two at least',
        actual: `no text of class ${this.labels?.[lacking ?? 1] ?? lacking ?? 1}`,
      });
    }
    const rows = await this.encode(texts, { signal: signal ?? null });
    const { weight, bias, ...shape } = fitLogistic(rows, labels, { classes, C: this.#C });
    // As files have it, so that a model that was saved gives the same bits.
    this.#head = { weight: weight.map(Math.fround), bias: bias.map(Math.fround), ...shape };
  }

  /** The embeddings of texts, a row each. */
  async encode(texts: readonly string[], { signal }: SetFitCallOptions = {}): Promise<Float32Array[]> {
    if (texts.length === 0) return [];
    const { data, dims } = await this.model_body([...texts], { pooling: 'model', ...(signal && { signal }) });
    const columns = dims.at(-1)!;
    return texts.map((_, i) => (data as Float32Array).slice(i * columns, (i + 1) * columns));
  }

  /** The logits of texts, a row each. Throws InputError before there is a head. */
  async predict_logits(texts: readonly string[], options: SetFitCallOptions = {}): Promise<number[][]> {
    const head = this.#head;
    if (!head) {
      throw new InputError({ what: 'the model has no head yet', next: 'Train it: new SetFitTrainer({ … }).train().' });
    }
    return (await this.encode(texts, options)).map(row => logisticScores(head, row));
  }

  /** The probabilities of the classes, a row for each text. */
  async predict_proba(texts: readonly string[], options: SetFitCallOptions = {}): Promise<number[][]> {
    return (await this.predict_logits(texts, options)).map(softmax);
  }

  /** The classes of texts, by name where they have names. */
  async predict(texts: readonly string[], options: SetFitCallOptions = {}): Promise<(string | number)[]> {
    const rows = await this.predict_logits(texts, options);
    return rows.map(row => {
      const best = row.indexOf(Math.max(...row));
      return this.labels?.[best] ?? best;
    });
  }

  /**
   * The files of the embedder, with the head as its last module, a Dense: SentenceTransformer(folder).encode gives the logits, in Python and
   * here. config_setfit.json has the labels. `from_pretrained` takes them, to the same bits. Rejects as `model_body.save_pretrained` does.
   */
  async save_pretrained(options: Parameters<FeatureExtractionPipeline['save_pretrained']>[0] = {}): Promise<File[]> {
    const files = [...(await this.model_body.save_pretrained(options)), configFile(this.labels)];
    return this.#head ? withHead(files, this.#head) : files;
  }

  /** Gives back everything that it holds on the GPU. */
  dispose(): Promise<void> {
    return this.model_body.dispose();
  }
}

function softmax(row: readonly number[]): number[] {
  const most = Math.max(...row);
  const powers = row.map(value => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(value => value / sum);
}

function checkLabels(labels: unknown): void {
  const isFine = Array.isArray(labels) && labels.length > 1 && labels.every(label => typeof label === 'string');
  if (!isFine) throw wrong('labels', labels, 'a list of two names of classes or more');
}
