import { signal } from '@preact/signals';
import type { Pipeline } from 'webgpu-bert';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { Work } from '../../shell/work.ts';

export const TAB = 'classification';

/** As someone types, so long without a key. */
const PAUSE_MS = 90;

export type Mode = 'labels' | 'zero-shot' | 'rank';
export const modeOf = (address: URLSearchParams): Mode => {
  const mode = address.get('mode');
  return mode === 'zero-shot' || mode === 'rank' ? mode : 'labels';
};

/** A name with a number, as all three ways answer. */
export interface Scored {
  readonly label: string;
  readonly score: number;
}

/** What was asked, to tell an answer to an older question; and the answer. */
export interface Answered<A> {
  readonly asked: string;
  readonly answer: A;
  readonly isCut: boolean;
  readonly elapsedMs: number;
}

export const slot = new ModelSlot(pipelineKind('text-classification'), { tab: TAB, task: 'text-classification' });
export const zeroSlot = new ModelSlot(pipelineKind('zero-shot-classification'), {
  tab: TAB,
  param: 'zero-model',
  task: 'zero-shot-classification',
});
export const rankSlot = new ModelSlot(pipelineKind('text-ranking'), {
  tab: TAB,
  param: 'rank-model',
  task: 'text-ranking',
});
export const work = new Work();

// Labels of the checkpoint.

export const LABEL_EXAMPLES = [
  { title: 'Glad', text: 'A warm film, and the ending made me smile for days.' },
  { title: 'Annoyed', text: 'Two hours of my life that I will never get back.' },
  { title: 'Both', text: 'The actors are wonderful, but the story falls apart.' },
];

export const labelled = signal<Answered<readonly Scored[]> | undefined>(undefined);

export const labelsAsked = (text: string, pair: string): string => JSON.stringify([text, pair]);

export function classify(model: Pipeline<'text-classification'>, text: string, pair: string): void {
  work.run(
    async signal => {
      const began = performance.now();
      const input = pair === '' ? text : { text, text_pair: pair };
      const answer = await model(input, { top_k: null, signal });
      labelled.value = {
        asked: labelsAsked(text, pair),
        answer,
        isCut: answer.truncated.some(Boolean),
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: labelled.peek() ? PAUSE_MS : 0 },
  );
}

// Labels of the person.

export const USUAL_TEMPLATE = 'This example is {}.';

export const ZERO_EXAMPLES = [
  {
    title: 'A letter to support',
    text: 'I have paid for my order twice and nobody answers the phone.',
    labels: 'billing, delivery, returns, praise',
    isMulti: false,
    template: undefined,
  },
  {
    title: 'Several at once',
    text: 'The hotel was spotless, but the music next door kept us awake until three.',
    labels: 'cleanliness, noise, food, price',
    isMulti: true,
    template: 'This review is about {}.',
  },
];

export interface ZeroShotQuestion {
  readonly text: string;
  readonly labels: readonly string[];
  readonly isMulti: boolean;
  readonly template: string;
  /** The checkpoint's name of the label that says that a hypothesis holds; found by name where it is empty. */
  readonly entailment: string;
}

export const labelsOf = (labels: string): string[] => [
  ...new Set(labels.split(/[,\n]/).flatMap(label => label.trim() || [])),
];

export const zeroShot = signal<Answered<readonly Scored[]> | undefined>(undefined);

export function judge(model: Pipeline<'zero-shot-classification'>, question: ZeroShotQuestion): void {
  const { text, labels, isMulti, template, entailment } = question;
  work.run(
    async (signal, progress_callback) => {
      const began = performance.now();
      const result = await model(text, labels, {
        multi_label: isMulti,
        hypothesis_template: template,
        entailment_label: entailment || null,
        signal,
        progress_callback,
      });
      zeroShot.value = {
        asked: JSON.stringify(question),
        answer: result.labels.map((label, i) => ({ label, score: result.scores[i]! })),
        isCut: result.truncated,
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: zeroShot.peek() ? PAUSE_MS : 0 },
  );
}

// Documents for a query.

export const RANK_EXAMPLES = [
  {
    title: 'A question to passages',
    query: 'How long do sea turtles live?',
    documents: [
      'Sea turtles lay their eggs in the sand of the beach where they hatched.',
      'Many species of sea turtle reach an age of fifty years or more.',
      'The shell of a turtle is part of its skeleton.',
      'A mayfly lives for a day.',
    ].join('\n'),
  },
  {
    title: 'Help pages',
    query: 'my package never came',
    documents: [
      'Change the address of an order before it is sent.',
      'What to do when a delivery is late or lost.',
      'How to return an item within thirty days.',
      'Pay by card, by invoice or by transfer.',
    ].join('\n'),
  },
];

export const documentsOf = (documents: string): string[] => documents.split('\n').flatMap(line => line.trim() || []);

export interface RankedLine extends Scored {
  /** The line's place among the documents, from 1. */
  readonly line: number;
}

export const ranking = signal<Answered<readonly RankedLine[]> | undefined>(undefined);

export const rankAsked = (query: string, documents: readonly string[]): string => JSON.stringify([query, documents]);

export function rank(model: Pipeline<'text-ranking'>, query: string, documents: readonly string[]): void {
  work.run(
    async (signal, progress_callback) => {
      const began = performance.now();
      const answer = await model(query, documents, { signal, progress_callback });
      ranking.value = {
        asked: rankAsked(query, documents),
        answer: answer.map(({ corpus_id, score }) => ({ label: documents[corpus_id]!, score, line: corpus_id + 1 })),
        isCut: answer.truncated.some(Boolean),
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: ranking.peek() ? PAUSE_MS : 0 },
  );
}
