import { computed } from '@preact/signals';
import { accuracy, type EvalPrediction, Trainer } from 'webgpu-bert/train';
import { ModelSlot } from '../../shell/model-slot.ts';
import { Work } from '../../shell/work.ts';
import { type Classifier, classifierKind, type LabelScore } from './classifier.ts';
import { Course, type Plan, type Training } from './course.ts';
import { CLASS_EXAMPLES } from './examples.ts';
import { KeptText } from './kept-text.ts';
import { type Example, readLabelledLines } from './lines.ts';
import { type Recipe, type Settings, TAB } from './recipe.ts';
import { Trial } from './trial.ts';
import { split } from './written-lines.ts';

/** The lines that a person has, what is to be learned of them, and the classifier that comes of it. */

export const lines = new KeptText('lab-training-lines', CLASS_EXAMPLES);
/** Where an example is in view: a text that none of its lines has. */
export const trialText = computed(() => lines.example?.trial ?? '');
export const reading = new Work();
export const read = computed(() => readLabelledLines(lines.text.value));

/** A model is loaded for the classes that are there; before there are two, for any two. */
function labelsNow(): readonly string[] {
  const labels = read.peek().classes.map(({ label }) => label);
  return labels.length > 1 ? labels : ['one', 'other'];
}

const slot = new ModelSlot(classifierKind(labelsNow), { tab: TAB, task: 'training', isFloat32: true });

export const RECIPE: Recipe = {
  parts: {
    head: {
      title: 'Fast: head only',
      note: 'What the model knows stays as it is; a head on top of it learns your labels.',
      trainable: 'head',
      epochs: 15,
      rate: 5e-3,
    },
    last: {
      title: 'Usual: last two layers',
      note: 'The two layers below the head learn with it.',
      trainable: { last_layers: 2 },
      epochs: 8,
      rate: 5e-4,
    },
    all: {
      title: 'Better: all layers',
      note: 'All weights learn: for many lines, with the most time and memory.',
      trainable: 'all',
      epochs: 10,
      rate: 2e-4,
    },
  },
  usualPart: 'last',
  batch: 8,
};

export interface ClassPlan extends Plan<Example> {
  readonly labels: readonly string[];
}

export function planOf(settings: Settings): ClassPlan {
  const { examples, classes } = read.value;
  const { train, held } = split(examples, settings.held / 100, ({ label }) => label);
  return {
    labels: classes.map(({ label }) => label),
    train,
    held,
    settings,
    total: settings.epochs * Math.ceil(train.length / settings.batch),
  };
}

/** What the model makes of an example that it has not learned from. */
export interface Guess {
  readonly example: Example;
  readonly label: string;
}

export type ClassTraining = Training<Classifier, ClassPlan, readonly Guess[]>;

export const trial = new Trial<{ readonly text: string; readonly scores: readonly LabelScore[] }>();

export const course = new Course<Classifier, ClassPlan, readonly Guess[]>(slot, {
  async prepare(base, { labels }, { signal }) {
    await base.renewed(labels, { signal });
  },
  trainer({ model, tokenizer }, plan, { args, callbacks, found }) {
    if (!model) return undefined;
    const recordOf = ({ text, label }: Example) => ({ text, label: plan.labels.indexOf(label) });
    return new Trainer({
      model,
      processing_class: tokenizer,
      train_dataset: plan.train.map(recordOf),
      eval_dataset: plan.held.length > 0 ? plan.held.map(recordOf) : null,
      args,
      compute_metrics: prediction => {
        found(guessesOf(prediction, plan));
        return accuracy(prediction);
      },
      callbacks,
    });
  },
  sizing({ model, tokenizer }, { train, settings }, args) {
    if (!model) return undefined;
    // The largest batch counts: the longest texts are enough to know it. Which label they have does not matter.
    const longest = [...train].sort((a, b) => b.text.length - a.text.length).slice(0, 4 * settings.batch);
    const train_dataset = longest.map(({ text }) => ({ text, label: 0 }));
    return new Trainer({ model, args, train_dataset, processing_class: tokenizer });
  },
  forget: () => trial.forget(),
});

function guessesOf({ predictions }: EvalPrediction, { held, labels }: ClassPlan): Guess[] {
  return held.map((example, i) => {
    const row = Array.from(predictions[i] as ArrayLike<number>);
    return { example, label: labels[row.indexOf(Math.max(...row))]! };
  });
}

export function tryOut(base: Classifier, text: string): void {
  trial.ask(async () => {
    const scores = await base.classify(text);
    return scores && { text, scores };
  });
}
