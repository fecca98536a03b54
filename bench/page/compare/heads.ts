import { type Call, type Session, shownOptions } from './session.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Words that are one token each in the vocabulary of the fixtures, so that the answers of both libraries are whole words. */
const PLAIN = 'the author must provided a copy of this software';
const PLAIN_LIST = [PLAIN, 'you may use the code', 'any user can modify this work without permission'];
const MIXED = 'Naïve José met Anna-Maria in New York, then left.';

interface Given {
  task: string;
  model: string;
  /** How the arguments are shown. */
  shown: string;
  args: readonly unknown[];
  options?: object;
  /** Of every object in the result only these are compared. */
  fields?: readonly string[];
  byDesign?: string;
}

/** Only the named fields of every object, in their order; lists stay lists. */
function only(fields: readonly string[], value: unknown): unknown {
  if (Array.isArray(value)) return value.map(item => only(fields, item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(fields.flatMap(name => (name in value ? [[name, (value as Fields)[name]]] : [])));
}

const head = ({ task, model, shown, args, options, fields, byDesign }: Given): Call => ({
  name: `${task}(${shown}${options ? `, ${shownOptions(options)}` : ''})${fields ? `: ${fields.join(', ')}` : ''}`,
  ...(byDesign && { byDesign }),
  run: async (session: Session) => {
    const run = await session.pipelineOf(task, `heads/${model}`);
    const value = await run(...args, ...(options ? [options] : []));
    return { value: fields ? only(fields, value) : value };
  },
});

const masked = (shown: string, text: unknown, options?: object, byDesign?: string) =>
  head({ task: 'fill-mask', model: 'bert-masked-lm', shown, args: [text], options, byDesign });
const classified = (shown: string, text: unknown, options?: object, byDesign?: string) =>
  head({ task: 'text-classification', model: 'bert-sequence', shown, args: [text], options, byDesign });

const MASK = PLAIN.replace('copy', '[MASK]');

const fillMask: Call[] = [
  masked('text', MASK),
  masked('text', MASK, { top_k: 1 }),
  masked('text', MASK, { top_k: 12 }),
  masked('list of 2', [MASK, 'you [MASK] use the code']),
  masked('text with punctuation', '[MASK], the author.'),
  masked(
    'text with 2 masks',
    'the [MASK] may [MASK] this',
    undefined,
    'a list for every mask, as in Python; transformers.js fills the first alone',
  ),
  masked('text', MASK, { targets: ['copy', 'use'] }, 'transformers.js has no `targets`; as in Python'),
];

const textClassification: Call[] = [
  classified('text', PLAIN),
  classified('text of pieces', MIXED),
  classified('list of 3', PLAIN_LIST),
  ...[1, 2, 3, null].flatMap(top_k => [
    classified('text', PLAIN, { top_k }),
    classified('list of 3', PLAIN_LIST, { top_k }),
  ]),
  classified(
    'text',
    PLAIN,
    { function_to_apply: 'sigmoid' },
    'transformers.js has no `function_to_apply`; as in Python',
  ),
];

const SIMPLE = { aggregation_strategy: 'simple' };
const WORDS = [
  ['text', PLAIN],
  ['list of 3', PLAIN_LIST],
] as const;
const PLACES = '`start` and `end` of every entity, as in Python; transformers.js has none';
const tokens = (given: Pick<Given, 'shown' | 'args' | 'options' | 'fields' | 'byDesign'>) =>
  head({ task: 'token-classification', model: 'bert-token', ...given });

const tokenClassification: Call[] = [
  ...WORDS.flatMap(([shown, text]) => [
    tokens({ shown, args: [text], fields: ['entity', 'score', 'index', 'word'] }),
    tokens({ shown, args: [text], options: SIMPLE, fields: ['entity_group', 'score', 'word'] }),
  ]),
  tokens({
    shown: 'text',
    args: [PLAIN],
    options: { ignore_labels: ['O', 'B-PER'] },
    fields: ['entity', 'score', 'index', 'word'],
  }),
  tokens({ shown: 'text of pieces', args: [MIXED], fields: ['entity', 'score', 'index', 'word'] }),
  tokens({ shown: 'text of pieces', args: [MIXED], options: SIMPLE, fields: ['entity_group', 'score', 'word'] }),
  tokens({
    shown: 'text of pieces',
    args: [MIXED],
    options: { ...SIMPLE, ignore_labels: ['PER'] },
    fields: ['entity_group', 'score', 'word'],
    byDesign: 'labels of groups are ignored, as in Python; in transformers.js those of tokens, before they are grouped',
  }),
  tokens({ shown: 'text', args: [PLAIN], byDesign: PLACES }),
  tokens({ shown: 'text', args: [PLAIN], options: SIMPLE, byDesign: PLACES }),
  tokens({
    shown: 'text',
    args: [MIXED],
    options: { aggregation_strategy: 'first' },
    byDesign: "'first', 'average' and 'max' as in Python; transformers.js throws",
  }),
];

const QUESTION = 'who may use the code';
const asked = (given: Pick<Given, 'shown' | 'args' | 'options' | 'fields' | 'byDesign'>) =>
  head({ task: 'question-answering', model: 'bert-qa', ...given });
const FOUND = ['answer', 'score'];

const questionAnswering: Call[] = [
  asked({ shown: 'question, context', args: [QUESTION, PLAIN], fields: FOUND }),
  asked({ shown: 'question, context', args: [QUESTION, PLAIN], options: { top_k: 4 }, fields: FOUND }),
  asked({ shown: 'question, context', args: [QUESTION, PLAIN_LIST[2]], options: { top_k: 2 }, fields: FOUND }),
  asked({
    shown: 'question, context',
    args: [QUESTION, PLAIN],
    byDesign: '`start` and `end` in the context, as in Python; transformers.js has none',
  }),
  asked({
    shown: 'question, context of pieces',
    args: [QUESTION, MIXED],
    options: { top_k: 3 },
    fields: FOUND,
    byDesign:
      "as in Python: the context's own characters and whole words, 15 tokens at most, like answers as one; transformers.js decodes tokens",
  }),
];

const LABELS = ['software', 'law', 'public work'];
const judged = (shown: string, args: readonly unknown[], options?: object) =>
  head({ task: 'zero-shot-classification', model: 'bert-nli', shown, args, options });

const zeroShot: Call[] = [
  judged('text, 3 labels', [PLAIN, LABELS]),
  judged('list of 3, 3 labels', [PLAIN_LIST, LABELS]),
  judged('text, 3 labels', [PLAIN, LABELS], { multi_label: true }),
  judged('text, 3 labels', [PLAIN, LABELS], { hypothesis_template: 'you can use {} here' }),
  judged('text, list of 1 label', [PLAIN, ['software']]),
  judged('text, label', [PLAIN, 'software']),
];

/** The tasks with heads, on the random checkpoints; scores of random weights are close together, and so tell orders apart. */
export const heads: Call[] = [
  ...fillMask,
  ...textClassification,
  ...tokenClassification,
  ...questionAnswering,
  ...zeroShot,
];
