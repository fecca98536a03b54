import { withPolling } from '../../src/gpu/poll.ts';
import { AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, pipeline } from '../../src/index.ts';
import {
  accuracy,
  MultipleNegativesRankingLoss,
  mrr,
  SentenceTransformerTrainer,
  SetFitModel,
  SetFitTrainer,
  Trainer,
} from '../../src/train.ts';
import { median } from './median.ts';
import { MODEL } from './sides.ts';

/** What `npm run bench:learning` measures: what a step costs beside a forward pass, and whether models learn from real data. */

const address = () => new URL(`/models/${MODEL}/`, location.href).href;
const json = async <T>(file: string): Promise<T> => (await fetch(`/learning/${file}`)).json();
const seconds = (began: number) => (performance.now() - began) / 1000;

/** A step beside a forward pass of the same sequences, in turns. */
export interface StepFigure {
  sequences: number;
  tokens: number;
  forwardMs: number;
  stepMs: number;
  ratio: number;
}

/** Steps of MiniLM with a head, all weights trained, and forward passes of the same sequences. */
export async function benchStep(
  sequences: number,
  tokens: number,
  { rounds }: { rounds: number },
): Promise<StepFigure> {
  const model = await AutoModelForSequenceClassification.from_pretrained(address(), { num_labels: 2 });
  const { device } = (await PreTrainedModel.engineOf(model).backend()).access!;
  const draw = (i: number, t: number) => 1000 + ((i * 7919 + t * 104729) % 20000);
  const records = Array.from({ length: sequences }, (_, i) => ({
    input_ids: [101, ...Array.from({ length: tokens - 2 }, (_, t) => draw(i, t)), 102],
    labels: i % 2,
  }));
  const inputs = { input_ids: records.map(({ input_ids }) => input_ids) };
  const forward: number[] = [];
  const steps: number[] = [];
  let began = 0;
  const trainer = new Trainer({
    model,
    train_dataset: records,
    args: { per_device_train_batch_size: sequences, max_steps: 2 * rounds + 3, logging_strategy: 'no' },
    callbacks: [
      {
        async on_step_begin(_, { global_step }) {
          // Every other step a forward pass is timed before it, so that both see the same machine.
          if (global_step % 2 === 0) {
            const start = performance.now();
            await model(inputs);
            if (global_step > 2) forward.push(performance.now() - start);
          }
          await withPolling(device.queue, device.queue.onSubmittedWorkDone());
          began = performance.now();
        },
        async on_step_end(_, { global_step }) {
          await withPolling(device.queue, device.queue.onSubmittedWorkDone());
          if (global_step > 3) steps.push(performance.now() - began);
        },
      },
    ],
  });
  await trainer.train();
  await model.dispose();
  const [forwardMs, stepMs] = [median(forward), median(steps)];
  return { sequences, tokens, forwardMs, stepMs, ratio: stepMs / forwardMs };
}

interface Mail {
  text: string;
  label: string;
}

export interface LearningFigure {
  name: string;
  /** What was measured, by its name. */
  figures: Record<string, number>;
  seconds: number;
}

const LABELS = ['ham', 'spam'];

/** A head on frozen MiniLM: a thousand mails to learn from, a thousand held out. */
export async function learnSpam({ train, held }: { train: number; held: number }): Promise<LearningFigure> {
  const mails = await json<Mail[]>('spam.json');
  const began = performance.now();
  const model = await AutoModelForSequenceClassification.from_pretrained(address(), { id2label: LABELS });
  const processing_class = await AutoTokenizer.from_pretrained(address());
  const trainer = new Trainer({
    model,
    processing_class,
    train_dataset: mails.slice(held, held + train),
    eval_dataset: mails.slice(0, held),
    compute_metrics: accuracy,
    args: { trainable: 'head', num_train_epochs: 3, learning_rate: 1e-3, per_device_train_batch_size: 16 },
  });
  const { training_loss } = await trainer.train();
  const learned = seconds(began);
  const { eval_accuracy, eval_loss } = await trainer.evaluate();
  await model.dispose();
  return {
    name: 'spam, head alone',
    figures: { accuracy: eval_accuracy!, loss: eval_loss!, trainingLoss: training_loss },
    seconds: learned,
  };
}

/** SetFit with few mails of either kind. */
export async function learnFewMails({
  shots,
  held,
  seed,
}: {
  shots: number;
  held: number;
  seed: number;
}): Promise<LearningFigure> {
  const mails = await json<Mail[]>('spam.json');
  const began = performance.now();
  const rest = mails.slice(held + 1000 * seed);
  const few = LABELS.flatMap(label => rest.filter(mail => mail.label === label).slice(0, shots));
  const model = new SetFitModel(await pipeline('feature-extraction', address()), { labels: LABELS });
  const trainer = new SetFitTrainer({
    model,
    args: { seed },
    train_dataset: few.map(mail => ({ ...mail })),
    eval_dataset: mails.slice(0, held).map(mail => ({ ...mail })),
  });
  await trainer.train();
  const learned = seconds(began);
  const { eval_accuracy } = await trainer.evaluate();
  await model.dispose();
  return {
    name: `spam, SetFit, ${shots} of each, seed ${seed}`,
    figures: { accuracy: eval_accuracy! },
    seconds: learned,
  };
}

/** Glosses find their words: before and after in-batch negatives. */
export async function learnGlosses({ train, held }: { train: number; held: number }): Promise<LearningFigure> {
  const pairs = await json<{ gloss: string; lemma: string }[]>('wordnet.json');
  const extractor = await pipeline('feature-extraction', address());
  const heldOut = pairs.slice(0, held);
  const ranked = async (): Promise<number> => {
    const rows = async (texts: string[]) =>
      (await extractor(texts, { pooling: 'model' })).tolist() as unknown as number[][];
    const glosses = await rows(heldOut.map(({ gloss }) => gloss));
    const lemmas = await rows(heldOut.map(({ lemma }) => lemma));
    const scores = glosses.map(gloss => lemmas.map(lemma => gloss.reduce((sum, x, i) => sum + x * lemma[i]!, 0)));
    const relevance = scores.map((_, i) => scores.map((_, j) => Number(i === j)));
    return mrr({ predictions: scores, references: relevance }, { k: 10 }).mrr;
  };
  const before = await ranked();
  const began = performance.now();
  const trainer = new SentenceTransformerTrainer({
    model: extractor,
    loss: new MultipleNegativesRankingLoss(),
    train_dataset: pairs.slice(held, held + train).map(({ gloss, lemma }) => ({ anchor: gloss, positive: lemma })),
    args: {
      num_train_epochs: 1,
      per_device_train_batch_size: 32,
      learning_rate: 5e-5,
      warmup_steps: 0.1,
      batch_sampler: 'no_duplicates',
    },
  });
  await trainer.train();
  const learned = seconds(began);
  const after = await ranked();
  await extractor.dispose();
  return {
    name: 'WordNet, glosses to words',
    figures: { 'mrr@10 before': before, 'mrr@10 after': after },
    seconds: learned,
  };
}
