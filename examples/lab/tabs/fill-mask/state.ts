import { signal } from '@preact/signals';
import type { FilledMask, Pipeline, PreTrainedTokenizer } from 'webgpu-bert';
import { countFrom } from '../../shell/format.ts';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { Work } from '../../shell/work.ts';
import { type Target, targetsOf, type WrittenToken, withMask, written } from './words.ts';

export const TAB = 'fill-mask';
export type Unmasker = Pipeline<'fill-mask'>;

/** As someone types, so long without a key. */
const PAUSE_MS = 90;
const USUAL_COUNT = 5;

export const slot = new ModelSlot(pipelineKind('fill-mask'), { tab: TAB, task: 'fill-mask' });
export const work = new Work();

export const EXAMPLES = [
  { title: 'A capital', text: 'Paris is the [MASK] of France.', words: '' },
  { title: 'Two masks', text: 'The [MASK] barked at the [MASK].', words: '' },
  { title: 'Is or are?', text: 'The keys to the cabinet [MASK] on the table.', words: 'is, are, was, were' },
  { title: 'A feeling', text: 'The film was so [MASK] that I watched it again.', words: 'good, bad, short, sad' },
];

export const textOf = (address: URLSearchParams, mask: string): string =>
  address.get('text') ?? withMask(EXAMPLES[0]!.text, mask);
export const countOf = (address: URLSearchParams): number => countFrom(address.get('top'), USUAL_COUNT, 64);
export const wordsOf = (address: URLSearchParams): string => address.get('words') ?? '';

export interface Guess extends WrittenToken {
  readonly id: number;
  readonly score: number;
  /** The words of the person that this token stands for, where only those are compared. */
  readonly targets: readonly Target[];
}

export interface Guesses {
  readonly text: string;
  readonly mask: string;
  /** The guesses for each mask of the text, the likeliest first. */
  readonly lists: readonly (readonly Guess[])[];
  readonly isCut: boolean;
  readonly elapsedMs: number;
}

export const guesses = signal<Guesses | undefined>(undefined);

interface Asked {
  readonly text: string;
  readonly mask: string;
  readonly count: number;
  readonly words: string;
}

const guessOf = ({ token, score }: FilledMask, tokenizer: PreTrainedTokenizer, targets: readonly Target[]): Guess => {
  const name = tokenizer.convert_ids_to_tokens(token);
  return { id: token, score, ...written(tokenizer, token), targets: targets.filter(target => target.token === name) };
};

/** A text with one mask gives a list, one with several a list for each. */
const isOfSeveral = (answer: FilledMask[] | FilledMask[][]): answer is FilledMask[][] => Array.isArray(answer[0]);

export function guess(model: Unmasker, { text, mask, count, words }: Asked): void {
  work.run(
    async signal => {
      const began = performance.now();
      const targets = targetsOf(words, model.tokenizer);
      const options =
        targets.length > 0 ? { targets: targets.map(({ token }) => token), top_k: targets.length } : { top_k: count };
      const answer = await model<FilledMask[] | FilledMask[][]>(text, { ...options, signal });
      const elapsedMs = performance.now() - began;
      const lists = isOfSeveral(answer) ? answer : [answer];
      guesses.value = {
        text,
        mask,
        lists: lists.map(list => list.map(entry => guessOf(entry, model.tokenizer, targets))),
        isCut: answer.truncated,
        elapsedMs,
      };
    },
    { delayMs: guesses.peek() ? PAUSE_MS : 0 },
  );
}
