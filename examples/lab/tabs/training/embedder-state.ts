import { computed } from '@preact/signals';
import { MultipleNegativesRankingLoss, mrr, SentenceTransformerTrainer } from 'webgpu-bert/train';
import { ModelSlot } from '../../shell/model-slot.ts';
import { Work } from '../../shell/work.ts';
import { Course, type Plan, type Training } from './course.ts';
import { type Embedder, type Extractor, embedderKind, passageRows, queryRows, similarities } from './embedder.ts';
import { forgetTrial, NEVER } from './embedder-trial.ts';
import { KeptText } from './kept-text.ts';
import { PAIR_EXAMPLES } from './pair-examples.ts';
import { leastBatches, type Pair, readPairs, splitPairs } from './pairs.ts';
import { placesOf } from './ranks.ts';
import { type Recipe, type Settings, TAB } from './recipe.ts';

/** The pairs that a person has, what is to be learned of them, and the embedder that comes of it. */

export const lines = new KeptText('lab-training-pairs', PAIR_EXAMPLES);
/** Where an example is in view: a query that none of its pairs has. */
export const trialQuery = computed(() => lines.example?.trial ?? '');
export const reading = new Work();
export const read = computed(() => readPairs(lines.text.value));

const slot = new ModelSlot(embedderKind, {
  tab: TAB,
  param: 'embedder-model',
  task: 'feature-extraction',
  isFloat32: true,
});

export const RECIPE: Recipe = {
  parts: {
    last: {
      title: 'Usual: last two layers',
      note: 'The layers below stay as they are: enough for words that are new to the model.',
      trainable: { last_layers: 2 },
      epochs: 8,
      rate: 1e-4,
    },
    all: {
      title: 'More: all layers',
      note: 'All weights learn: for many pairs, with the most time and memory.',
      trainable: 'all',
      epochs: 8,
      rate: 1e-4,
    },
  },
  usualPart: 'last',
  batch: 16,
};

export interface PairPlan extends Plan<Pair> {
  /** All passages that a query is compared with. */
  readonly passages: readonly string[];
  /** For each pair held out the passages that answer its query, by their places. */
  readonly right: readonly ReadonlySet<number>[];
  /** Whether every pair has a wrong passage. */
  readonly isContrasted: boolean;
}

export function planOf(settings: Settings): PairPlan {
  const { pairs, passages, wrongCount } = read.value;
  const { train, held } = splitPairs(read.value, settings.held / 100);
  const placeOf = new Map(passages.map((passage, place) => [passage, place]));
  const rightOf = (query: string) =>
    new Set(pairs.filter(pair => pair.query === query).map(({ passage }) => placeOf.get(passage)!));
  return {
    train,
    held,
    passages,
    right: held.map(({ query }) => rightOf(query)),
    isContrasted: wrongCount === pairs.length,
    settings,
    total: settings.epochs * leastBatches(train, settings.batch),
  };
}

/** How the queries that were held out find their passages. */
export interface Standing {
  /** Of each query the place of its passage among all of them, from 1. */
  readonly places: readonly number[];
  /** How many queries have theirs first. */
  readonly first: number;
  /** The mean over the queries of 1 / place, 0 beyond the tenth: MRR@10. */
  readonly mrr: number;
}

/** The same without the training and with it. */
export interface Standings {
  readonly before: Standing;
  readonly now: Standing;
}

export type PairTraining = Training<Embedder, PairPlan, Standings>;

async function standing(model: Extractor, { held, passages, right }: PairPlan, signal: AbortSignal): Promise<Standing> {
  const [queries, rows] = await Promise.all([
    queryRows(
      model,
      held.map(({ query }) => query),
      signal,
    ),
    passageRows(model, passages, signal),
  ]);
  const predictions = queries.map(query => similarities(query, rows));
  const places = placesOf(predictions, right);
  return {
    places,
    first: places.filter(place => place === 1).length,
    mrr: mrr({
      predictions,
      references: right.map(answers => passages.map((_, passage) => Number(answers.has(passage)))),
    }).mrr,
  };
}

const recordOf = ({ query, passage, wrong }: Pair, isContrasted: boolean) =>
  isContrasted ? { query, passage, wrong } : { query, passage };

/** What is the same for every training of an embedder. */
const trainerOf = (
  model: Extractor,
  options: Omit<ConstructorParameters<typeof SentenceTransformerTrainer>[0], 'model' | 'loss'>,
) => {
  const { query = '', document = '' } = model.prompts;
  return new SentenceTransformerTrainer({
    ...options,
    model,
    loss: new MultipleNegativesRankingLoss(),
    args: {
      ...options.args,
      // A passage that two queries have is no wrong answer to either.
      batch_sampler: 'no_duplicates',
      // As encode_query and encode_document read them afterwards.
      prompts: { query, passage: document, wrong: document },
    },
  });
};

export const course = new Course<Embedder, PairPlan, Standings>(slot, {
  async prepare(base, plan, { signal, found }) {
    const model = await base.renewed({ signal });
    if (plan.held.length === 0) return;
    const before = await standing(model, plan, signal);
    found({ before, now: before });
  },
  trainer({ model }, plan, { args, callbacks, found }) {
    if (!model) return undefined;
    return trainerOf(model, {
      train_dataset: plan.train.map(pair => recordOf(pair, plan.isContrasted)),
      args,
      // It belongs to the steps before it, and is whole also where the training is stopped.
      evaluator: async trained => {
        const now = await standing(trained, plan, NEVER);
        const before = course.training.peek()?.findings?.before;
        if (before) found({ before, now });
        return { 'mrr@10': now.mrr };
      },
      callbacks,
    });
  },
  sizing({ model }, { train, isContrasted, settings }, args) {
    if (!model) return undefined;
    // The largest batch counts: the longest pairs are enough to know it.
    const lengthOf = ({ query, passage, wrong }: Pair) =>
      query.length + passage.length + (isContrasted ? wrong.length : 0);
    const longest = [...train].sort((a, b) => lengthOf(b) - lengthOf(a)).slice(0, 4 * settings.batch);
    return trainerOf(model, { args, train_dataset: longest.map(pair => recordOf(pair, isContrasted)) });
  },
  forget: forgetTrial,
});
