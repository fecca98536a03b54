import { describe, InputError, wrong } from '../errors.ts';
import { pipeline } from '../pipeline.ts';
import { safetensorsFile } from '../saving/index.ts';
import type { FeatureExtractionPipeline } from '../tasks/index.ts';
import type { TrainingArgumentsInit } from './arguments.ts';
import type { TrainerCallback, TrainerState } from './callbacks.ts';
import type { Metrics } from './course.ts';
import { CosineSimilarityLoss, type EmbedderLoss } from './embedder-losses.ts';
import { GivenFields } from './given-fields.ts';
import { fitLogistic, type LogisticHead, logisticScores } from './logistic.ts';
import type { TrainOptions, TrainOutput } from './loop.ts';
import { type Pcg32, permutation, randomStream } from './random.ts';
import type { DataRecord } from './records.ts';
import { SentenceTransformerTrainer, type SentenceTransformerTrainingArgumentsInit } from './sentence-trainer.ts';
import { type Dataset, listOf } from './trainer-data.ts';

/**
 * Few-shot classification (Tunstall et al., arXiv 2209.11055): an embedder is trained with pairs of texts, which have the same label or not;
 * then a logistic regression on its embeddings. Names and defaults are those of setfit 1.2.
 */

/** The file that says the labels. */
const CONFIG = 'config_setfit.json';

export interface SetFitModelOptions {
  /** The names of the classes. Default: those of the records, in the order in which they come. */
  readonly labels?: readonly string[] | null;
  /** Arguments of the head, with sklearn's names: `C` is the inverse strength of the L2 penalty. Default: { C: 1 }. */
  readonly head_params?: { readonly C?: number | null } | null;
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

  /** Loads an embedder to be trained. Takes and throws what `pipeline` does. */
  static async from_pretrained(
    model: Parameters<typeof pipeline>[1],
    options: SetFitModelOptions & NonNullable<Parameters<typeof pipeline>[2]> = {},
  ): Promise<SetFitModel> {
    const { labels = null, head_params = null, ...rest } = options;
    const body = await pipeline('feature-extraction', model, rest);
    return new SetFitModel(body, { labels, head_params });
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
  async fit(texts: readonly string[], labels: readonly number[], { signal }: TrainOptions = {}): Promise<void> {
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
    this.#head = fitLogistic(await this.encode(texts, { signal: signal ?? null }), labels, { classes, C: this.#C });
  }

  /** The embeddings of texts, a row each. */
  async encode(texts: readonly string[], { signal }: TrainOptions = {}): Promise<Float32Array[]> {
    if (texts.length === 0) return [];
    const { data, dims } = await this.model_body([...texts], { pooling: 'model', ...(signal && { signal }) });
    const columns = dims.at(-1)!;
    return texts.map((_, i) => (data as Float32Array).slice(i * columns, (i + 1) * columns));
  }

  /** The logits of texts, a row each. Throws InputError before there is a head. */
  async predict_logits(texts: readonly string[], options: TrainOptions = {}): Promise<number[][]> {
    const head = this.#head;
    if (!head) {
      throw new InputError({ what: 'the model has no head yet', next: 'Train it: new SetFitTrainer({ … }).train().' });
    }
    return (await this.encode(texts, options)).map(row => logisticScores(head, row));
  }

  /** The probabilities of the classes, a row for each text. */
  async predict_proba(texts: readonly string[], options: TrainOptions = {}): Promise<number[][]> {
    return (await this.predict_logits(texts, options)).map(softmax);
  }

  /** The classes of texts, by name where they have names. */
  async predict(texts: readonly string[], options: TrainOptions = {}): Promise<(string | number)[]> {
    const rows = await this.predict_logits(texts, options);
    return rows.map(row => {
      const best = row.indexOf(Math.max(...row));
      return this.labels?.[best] ?? best;
    });
  }

  /**
   * The files of the embedder, with the head as its last module, a Dense: SentenceTransformer(folder).encode gives the logits, in Python and
   * here. config_setfit.json has the labels. Rejects as `model_body.save_pretrained` does.
   */
  async save_pretrained(options: Parameters<FeatureExtractionPipeline['save_pretrained']>[0] = {}): Promise<File[]> {
    const files = await this.model_body.save_pretrained(options);
    const config = { labels: this.labels ?? null, normalize_embeddings: false };
    files.push(new File([`${JSON.stringify(config, null, 2)}\n`], CONFIG));
    return this.#head ? withHead(files, this.#head) : files;
  }

  /** Gives back everything that it holds on the GPU. */
  dispose(): Promise<void> {
    return this.model_body.dispose();
  }
}

/** A module of modules.json. */
interface Module {
  readonly idx: number;
  readonly name: string;
  readonly path: string;
  readonly type: string;
}

/** Files of an embedder, and a head behind it. */
async function withHead(files: readonly File[], { weight, bias, classes, columns }: LogisticHead): Promise<File[]> {
  const modules = files.find(({ name }) => name === 'modules.json');
  if (!modules) {
    throw new InputError({
      what: 'the head of this model cannot be saved, because the embedder has no modules.json',
      next: 'Take an embedder of sentence-transformers.',
    });
  }
  const list: Module[] = JSON.parse(await modules.text());
  const path = `${list.length}_Dense`;
  const type = 'sentence_transformers.models.Dense';
  const changed = [...list, { idx: list.length, name: String(list.length), path, type }];
  const config = {
    in_features: columns,
    out_features: classes,
    bias: true,
    activation_function: 'torch.nn.modules.linear.Identity',
  };
  const tensor = (name: string, shape: number[], numbers: Float64Array) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: new Blob([Float32Array.from(numbers)]),
  });
  const head = safetensorsFile(
    `${path}/model.safetensors`,
    [tensor('linear.bias', [classes], bias), tensor('linear.weight', [classes, columns], weight)],
    { format: 'pt' },
  );
  return [
    ...files.filter(file => file !== modules),
    new File([`${JSON.stringify(changed, null, 2)}\n`], 'modules.json'),
    new File([`${JSON.stringify(config, null, 2)}\n`], `${path}/config.json`),
    head,
  ];
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

/** Which pairs of texts are made: the rarer kind again and again; the more frequent kind cut; or every pair once. */
export type SamplingStrategyOfPairs = 'oversampling' | 'undersampling' | 'unique';

/** What `args` of a SetFitTrainer may say: setfit's names and defaults. */
export interface SetFitArguments {
  /** Pairs of a batch. Default: 16. */
  readonly batch_size?: number | null;
  /** How often all pairs are gone through. Default: 1. */
  readonly num_epochs?: number | null;
  /** Default: -1, as many as the epochs have. */
  readonly max_steps?: number | null;
  /** Default: 'oversampling'. */
  readonly sampling_strategy?: SamplingStrategyOfPairs | null;
  /** So many positive and as many negative pairs for each text, instead of all pairs. Default: all. */
  readonly num_iterations?: number | null;
  /** Default: 2e-5. */
  readonly body_learning_rate?: number | null;
  /** Default: 0.1. */
  readonly warmup_proportion?: number | null;
  /** Default: CosineSimilarityLoss. */
  readonly loss?: EmbedderLoss | null;
  /** What the weights of the embedder decay by: weight_decay of TrainingArguments. Default: 0.01. */
  readonly l2_weight?: number | null;
  /** Default: 42. */
  readonly seed?: number | null;
  /** Default: true. */
  readonly logging_first_step?: boolean | null;
  /** Default: 50. */
  readonly logging_steps?: number | null;
  /** Which weights of the embedder are trained: see TrainingArguments. Default: 'all'. */
  readonly trainable?: TrainingArgumentsInit['trainable'];
  /** Default: what config.json says. */
  readonly dropout?: number | null;
}

const ARGUMENT_NAMES = [
  'batch_size',
  'num_epochs',
  'max_steps',
  'sampling_strategy',
  'num_iterations',
  'body_learning_rate',
  'warmup_proportion',
  'loss',
  'l2_weight',
  'seed',
  'logging_first_step',
  'logging_steps',
  'trainable',
  'dropout',
] as const satisfies readonly (keyof SetFitArguments)[];

export interface SetFitTrainerOptions {
  readonly model: SetFitModel;
  readonly args?: SetFitArguments | null;
  /** Records { text, label }: the label is a name or a number. */
  readonly train_dataset: Dataset;
  readonly eval_dataset?: Dataset | null;
  readonly callbacks?: readonly TrainerCallback[] | null;
}

/**
 * Trains a SetFitModel.
 *
 *   const model = await SetFitModel.from_pretrained('sentence-transformers/paraphrase-MiniLM-L3-v2', { labels: ['no', 'yes'] });
 *   const trainer = new SetFitTrainer({ model, train_dataset: [{ text: 'fine', label: 'yes' }, …] });
 *   await trainer.train();
 *   await model.predict(['good']);
 */
export class SetFitTrainer {
  readonly model: SetFitModel;
  readonly #options: SetFitTrainerOptions;
  readonly #args: GivenFields;
  #body: SentenceTransformerTrainer | undefined;

  /** Throws InputError for an option that is wrong, and for one that there is not. */
  constructor(options: SetFitTrainerOptions) {
    const given = new GivenFields('SetFitTrainer', options);
    given.checkNames(['model', 'args', 'train_dataset', 'eval_dataset', 'callbacks']);
    if (!(options.model instanceof SetFitModel)) throw wrong('model', options.model, 'a SetFitModel');
    this.#args = new GivenFields('the arguments of SetFitTrainer', options.args);
    this.#args.checkNames(ARGUMENT_NAMES);
    this.#args.choice<SamplingStrategyOfPairs>('sampling_strategy', 'oversampling', [
      'oversampling',
      'undersampling',
      'unique',
    ]);
    this.model = options.model;
    this.#options = options;
  }

  /** Where the training of the embedder stands; undefined before it begins. */
  get state(): TrainerState | undefined {
    return this.#body?.state;
  }

  /**
   * Trains the embedder with pairs, then the head. Resolves to what the training of the embedder gave. Rejects with InputError for records
   * without a text or label and as SentenceTransformerTrainer.train does; after an abort there is no new head.
   */
  async train({ signal, resume_from_checkpoint }: TrainOptions = {}): Promise<TrainOutput> {
    const { texts, labels } = await this.#read(this.#options.train_dataset, 'train_dataset', signal);
    const body = new SentenceTransformerTrainer({
      model: this.model.model_body,
      loss: this.#options.args?.loss ?? new CosineSimilarityLoss(),
      train_dataset: this.#pairs(texts, labels),
      args: this.#bodyArguments(),
      callbacks: this.#options.callbacks ?? [],
    });
    this.#body = body;
    const output = await body.train({ signal: signal ?? null, resume_from_checkpoint: resume_from_checkpoint ?? null });
    await this.model.fit(texts, labels, { signal: signal ?? null });
    return output;
  }

  /** The accuracy on a data set, by default `eval_dataset`: { eval_accuracy }. */
  async evaluate(eval_dataset: Dataset | null = null, { signal }: TrainOptions = {}): Promise<Metrics> {
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset) {
      throw new InputError({
        what: 'there is nothing to evaluate on',
        next: 'Pass eval_dataset to the SetFitTrainer.',
      });
    }
    const { texts, labels } = await this.#read(dataset, 'eval_dataset', signal);
    const rows = await this.model.predict_logits(texts, { signal: signal ?? null });
    const right = rows.filter((row, i) => row.indexOf(Math.max(...row)) === labels[i]).length;
    return { eval_accuracy: right / rows.length };
  }

  #bodyArguments(): SentenceTransformerTrainingArgumentsInit {
    const { trainable, dropout } = this.#options.args ?? {};
    return {
      per_device_train_batch_size: this.#args.count('batch_size', 16),
      num_train_epochs: this.#args.number('num_epochs', 1, { min: 0 }),
      max_steps: this.#args.count('max_steps', -1, -1),
      learning_rate: this.#args.number('body_learning_rate', 2e-5, { min: 0 }),
      warmup_steps: this.#args.number('warmup_proportion', 0.1, { min: 0, below: 1 }),
      seed: this.#args.count('seed', 42, 0),
      weight_decay: this.#args.number('l2_weight', 0.01, { min: 0 }),
      logging_first_step: this.#args.flag('logging_first_step', true),
      logging_steps: this.#args.count('logging_steps', 50),
      ...(trainable && { trainable }),
      ...(dropout !== undefined && dropout !== null && { dropout }),
    };
  }

  /** Pairs of texts with 1 where they have the same label, else 0: setfit's ContrastiveDataset. */
  #pairs(texts: readonly string[], labels: readonly number[]): DataRecord[] {
    const stream = randomStream({ seed: this.#args.count('seed', 42, 0), purpose: 'pairs' });
    const [same, other] = pairsOf(labels, stream);
    const iterations = this.#args.value('num_iterations') === undefined ? 0 : this.#args.count('num_iterations', 1);
    const strategy = this.#args.value('sampling_strategy') ?? 'oversampling';
    const [fewer, more] = [same.length, other.length].sort((a, b) => a - b) as [number, number];
    const count = iterations > 0 ? iterations * texts.length : strategy === 'undersampling' ? fewer : more;
    const isUnique = iterations === 0 && strategy === 'unique';
    const record = ([i, j]: Pair, label: number) => ({ sentence1: texts[i]!, sentence2: texts[j]!, label });
    const some = (pairs: readonly Pair[], label: number) =>
      isUnique || pairs.length === 0
        ? pairs.map(pair => record(pair, label))
        : Array.from({ length: count }, (_, k) => record(pairs[k % pairs.length]!, label));
    return [...some(same, 1), ...some(other, 0)];
  }

  async #read(
    dataset: Dataset,
    name: string,
    signal: AbortSignal | null | undefined,
  ): Promise<{ texts: string[]; labels: number[] }> {
    const records = await listOf(name, dataset, signal ?? undefined);
    const texts: string[] = [];
    const given: (string | number)[] = [];
    for (const [index, record] of records.entries()) {
      const { text, label } = Object(record) as { text?: unknown; label?: unknown };
      if (typeof text !== 'string' || !(typeof label === 'string' || Number.isSafeInteger(label))) {
        throw new InputError({
          what: `record ${index} of ${name} is wrong`,
          actual: describe(record),
          expected: '{ text, label }',
        });
      }
      texts.push(text);
      given.push(label as string | number);
    }
    const isNamed = given.some(label => typeof label === 'string');
    if (isNamed) this.model.labels ??= [...new Set(given.map(String))];
    return { texts, labels: given.map((label, index) => this.#classOf(label, index, name)) };
  }

  #classOf(label: string | number, index: number, name: string): number {
    const { labels } = this.model;
    const found = typeof label === 'string' ? (labels ?? []).indexOf(label) : label;
    if (found >= 0 && found < (labels?.length ?? Number.POSITIVE_INFINITY)) return found;
    throw new InputError({
      what: `the label of record ${index} of ${name} is none of the model's`,
      actual: describe(label),
      expected: labels?.join(', '),
    });
  }
}

type Pair = readonly [number, number];

/** All pairs of texts, each with itself too, in a random order: those of one label, and those of two. */
function pairsOf(labels: readonly number[], stream: Pcg32): [same: Pair[], other: Pair[]] {
  const all: Pair[] = labels.flatMap((_, i) => labels.slice(i).map((_, j): Pair => [i, i + j]));
  const shuffled = Array.from(permutation(all.length, stream), place => all[place]!);
  const isSame = ([i, j]: Pair) => labels[i] === labels[j];
  return [shuffled.filter(isSame), shuffled.filter(pair => !isSame(pair))];
}
