import { signal } from '@preact/signals';
import type { Answer, Entity, Pipeline, TokenClassificationOptions } from 'webgpu-bert';
import { countFrom } from '../../shell/format.ts';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { Work } from '../../shell/work.ts';

export const TAB = 'entities';

/** As someone types, so long without a key. */
const PAUSE_MS = 90;

export type Mode = 'entities' | 'answers';
export const modeOf = (address: URLSearchParams): Mode => (address.get('mode') === 'answers' ? 'answers' : 'entities');

export const slot = new ModelSlot(pipelineKind('token-classification'), { tab: TAB, task: 'token-classification' });
export const answerSlot = new ModelSlot(pipelineKind('question-answering'), {
  tab: TAB,
  param: 'answer-model',
  task: 'question-answering',
});
export const work = new Work();

export const ENTITY_EXAMPLES = [
  {
    title: 'A biography',
    text: 'Marie Curie was born in Warsaw and moved to Paris, where she taught at the Sorbonne with Pierre Curie.',
  },
  {
    title: 'A report',
    text: 'Angela Merkel met Emmanuel Macron in Berlin before both flew to Brussels for talks at NATO.',
  },
  {
    title: 'A match',
    text: 'Lionel Messi left Barcelona for Paris Saint-Germain and later joined Inter Miami in Florida.',
  },
];

type AggregationStrategy = NonNullable<TokenClassificationOptions['aggregation_strategy']>;

export const STRATEGIES: readonly (readonly [AggregationStrategy, string])[] = [
  ['none', 'none: each token'],
  ['simple', 'simple: neighbours alike'],
  ['first', 'first token of a word'],
  ['average', 'average of a word'],
  ['max', 'surest token of a word'],
];
export const strategyOf = (address: URLSearchParams): AggregationStrategy =>
  STRATEGIES.find(([name]) => name === address.get('group'))?.[0] ?? 'simple';

export interface Found {
  readonly text: string;
  readonly entities: readonly (Entity & { readonly label: string })[];
  readonly isCut: boolean;
  readonly elapsedMs: number;
}

export const found = signal<Found | undefined>(undefined);

/** The name of a label without the letter that says where in an entity a token stands. */
const plainLabel = ({ entity_group, entity }: Entity): string =>
  entity_group ?? (entity ?? '').replace(/^[BIESLU]-/, '');

export function find(model: Pipeline<'token-classification'>, text: string, strategy: AggregationStrategy): void {
  work.run(
    async (signal, progress_callback) => {
      const began = performance.now();
      const asked = {
        aggregation_strategy: strategy,
        overflow: 'window',
        stride: 32,
        signal,
        progress_callback,
      } as const;
      const answer = await model(text, asked);
      found.value = {
        text,
        entities: answer.map(entity => ({ ...entity, label: plainLabel(entity) })),
        isCut: answer.truncated,
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: found.peek() ? PAUSE_MS : 0 },
  );
}

export const ANSWER_EXAMPLES = [
  {
    title: 'Who?',
    question: 'Who discovered penicillin?',
    context:
      'Penicillin was discovered in 1928 by Alexander Fleming at St. Mary’s Hospital in London. Howard Florey and Ernst Chain turned it into a drug, and the three shared the Nobel Prize in 1945.',
  },
  {
    title: 'When?',
    question: 'When did the bridge open?',
    context:
      'Work on the bridge began in 1962 after years of debate. It opened to traffic on 4 June 1967, two years late, and was widened in the summer of 1989.',
  },
  {
    title: 'Not in the text',
    question: 'How much did the bridge cost?',
    context: 'Work on the bridge began in 1962. It opened to traffic on 4 June 1967, two years late.',
  },
];

const USUAL_ANSWERS = 3;

export interface Question {
  readonly question: string;
  readonly context: string;
  readonly count: number;
  /** Whether the text may have no answer. */
  readonly mayBeNone: boolean;
}

export const questionOf = (address: URLSearchParams): Question => ({
  question: address.get('question') ?? ANSWER_EXAMPLES[0]!.question,
  context: address.get('context') ?? ANSWER_EXAMPLES[0]!.context,
  count: countFrom(address.get('top'), USUAL_ANSWERS, 20),
  mayBeNone: address.has('none'),
});

export interface Answered extends Question {
  /** The surest first; an empty one says that the text has none. */
  readonly answers: readonly Answer[];
  readonly elapsedMs: number;
}

export const answered = signal<Answered | undefined>(undefined);

export function answer(model: Pipeline<'question-answering'>, asked: Question): void {
  const { question, context, count, mayBeNone } = asked;
  work.run(
    async (signal, progress_callback) => {
      const began = performance.now();
      const options = { top_k: count, handle_impossible_answer: mayBeNone, signal, progress_callback };
      const result = await model(question, context, options);
      answered.value = {
        ...asked,
        answers: Array.isArray(result) ? result : [result],
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: answered.peek() ? PAUSE_MS : 0 },
  );
}
