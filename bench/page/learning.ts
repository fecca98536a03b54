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
import { permutation, randomStream } from '../../src/training/random.ts';
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

/** Tokens of a mail that are read. */
const MAIL_TOKENS = 96;

/** The first mails, which are held out, and the others, each cut to MAIL_TOKENS. */
async function readMails(held: number): Promise<{ heldOut: Mail[]; others: Mail[] }> {
  const tokenizer = await AutoTokenizer.from_pretrained(address());
  const mails = (await json<Mail[]>('mails.json')).map(({ text, label }) => {
    const { input_ids } = tokenizer(text, { truncation: true, max_length: MAIL_TOKENS, return_tensor: false });
    return { text: tokenizer.decode(input_ids, { skip_special_tokens: true }), label };
  });
  return { heldOut: mails.slice(0, held), others: mails.slice(held) };
}

/** The share of the larger class: what it is worth to say the same of every mail. */
const largerShare = (mails: readonly Mail[]): number =>
  Math.max(...LABELS.map(label => mails.filter(mail => mail.label === label).length)) / mails.length;

/** A logistic regression on what the frozen embedder gives of every mail: the head of SetFit alone. */
export async function learnSpamHead({ train, held }: { train: number; held: number }): Promise<LearningFigure> {
  const { heldOut, others } = await readMails(held);
  const learned = others.slice(0, train);
  const began = performance.now();
  // Rows of length 1 lie close together: a weaker penalty than sklearn's default lets the head tell them apart.
  const head_params = { C: 10 };
  const model = await SetFitModel.from_pretrained(address(), { labels: LABELS, head_params });
  await model.fit(
    learned.map(({ text }) => text),
    learned.map(({ label }) => LABELS.indexOf(label)),
  );
  const duration = seconds(began);
  const found = await model.predict(heldOut.map(({ text }) => text));
  await model.dispose();
  return {
    name: `spam, a logistic head on frozen embeddings, ${train} mails to learn from, ${held} held out`,
    figures: {
      accuracy: found.filter((label, i) => label === heldOut[i]!.label).length / found.length,
      'share of the larger class': largerShare(heldOut),
    },
    seconds: duration,
  };
}

/** The head of a classifier on frozen MiniLM, by the Trainer: it sees the first token's row, which the embedder was not trained for. */
export async function learnSpam({ train, held }: { train: number; held: number }): Promise<LearningFigure> {
  const { heldOut, others } = await readMails(held);
  const began = performance.now();
  const model = await AutoModelForSequenceClassification.from_pretrained(address(), { id2label: LABELS });
  const processing_class = await AutoTokenizer.from_pretrained(address());
  const trainer = new Trainer({
    model,
    processing_class,
    train_dataset: others.slice(0, train),
    eval_dataset: heldOut,
    compute_metrics: accuracy,
    args: {
      trainable: 'head',
      num_train_epochs: 2,
      learning_rate: 3e-3,
      per_device_train_batch_size: 16,
      // The encoder stays as it is: what it gives of a mail is the same in every epoch.
      dropout: 0,
    },
  });
  const { training_loss } = await trainer.train();
  const learned = seconds(began);
  const { eval_accuracy, eval_loss } = await trainer.evaluate();
  await model.dispose();
  return {
    name: `spam, the Trainer's head on the first token, ${train} mails to learn from, ${held} held out`,
    figures: {
      accuracy: eval_accuracy!,
      'share of the larger class': largerShare(heldOut),
      loss: eval_loss!,
      trainingLoss: training_loss,
    },
    seconds: learned,
  };
}

/** SetFit with few mails of either kind, which the seed draws from those that are not held out. */
export async function learnFewMails({
  shots,
  held,
  seed,
}: {
  shots: number;
  held: number;
  seed: number;
}): Promise<LearningFigure> {
  const { heldOut, others } = await readMails(held);
  const order = permutation(others.length, randomStream({ seed, purpose: 'other' }));
  const drawn = Array.from(order, index => others[index]!);
  const few = LABELS.flatMap(label => drawn.filter(mail => mail.label === label).slice(0, shots));
  const began = performance.now();
  const model = new SetFitModel(await pipeline('feature-extraction', address()), { labels: LABELS });
  const trainer = new SetFitTrainer({
    model,
    // Nine steps, in which the default of 2e-5 would hardly move the embedder.
    args: { seed, body_learning_rate: 1e-4 },
    train_dataset: few,
    eval_dataset: heldOut,
  });
  await trainer.train();
  const learned = seconds(began);
  const { eval_accuracy } = await trainer.evaluate();
  await model.dispose();
  return {
    name: `spam, SetFit, ${shots} of each, ${held} held out, seed ${seed}`,
    figures: { accuracy: eval_accuracy!, 'share of the larger class': largerShare(heldOut) },
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
