import { signal } from '@preact/signals';
import { cos_sim, type Pipeline } from 'webgpu-bert';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { params, setParams } from '../../shell/route.ts';
import { Work } from '../../shell/work.ts';

export const TAB = 'pairs';

/** As someone types, so long without a key. */
const PAUSE_MS = 90;
/** A matrix of more is no longer read. */
export const MOST_SENTENCES = 24;

/** Embeddings are those of the tab of search too: one model serves both. */
export const slot = new ModelSlot(pipelineKind('feature-extraction'), { tab: TAB, task: 'sentence-similarity' });
export const nextSlot = new ModelSlot(pipelineKind('next-sentence-prediction'), {
  tab: TAB,
  param: 'next-model',
  task: 'next-sentence-prediction',
});
export const work = new Work();
export const nextWork = new Work();

export const EXAMPLES = [
  { title: 'The same in other words', lines: ['The cat sleeps on the sofa.', 'A kitten naps on the couch.'] },
  {
    title: 'Two meanings of a word',
    lines: [
      'The bank lends money.',
      'The bank of the river is steep.',
      'You can borrow cash there.',
      'Boats lie at the shore.',
    ],
  },
  {
    title: 'Five headlines',
    lines: [
      'Heavy rain floods the old town',
      'Streets under water after a storm',
      'The orchestra opens its season with Mahler',
      'Concert hall sold out on the first evening',
      'Bakers pay more for flour',
    ],
  },
];

export const NEXT_EXAMPLES = [
  { title: 'It goes on', first: 'He opened the door and went in.', second: 'The room was dark and cold.' },
  { title: 'It does not', first: 'He opened the door and went in.', second: 'Penguins cannot fly.' },
];

export type Mode = 'similarity' | 'next';
export const modeOf = (address: URLSearchParams): Mode => (address.get('mode') === 'next' ? 'next' : 'similarity');

export const linesOf = (address: URLSearchParams): string[] =>
  (address.get('text')?.split('\n') ?? EXAMPLES[0]!.lines).slice(0, MOST_SENTENCES);

/** Writes the sentences into the address; a line break in one makes two of it. At least two fields stay. */
export function setLines(lines: readonly string[]): void {
  const all = lines.flatMap(line => line.split('\n'));
  while (all.length < 2) all.push('');
  setParams(TAB, { text: all.slice(0, MOST_SENTENCES).join('\n') });
}

export const setLine = (place: number, line: string): void =>
  setLines(linesOf(params.peek()).map((old, i) => (i === place ? line : old)));

export const nextOf = (address: URLSearchParams): { first: string; second: string } => ({
  first: address.get('first') ?? NEXT_EXAMPLES[0]!.first,
  second: address.get('second') ?? NEXT_EXAMPLES[0]!.second,
});

export interface Similarities {
  /** The sentences that were compared, and the place of each among the fields. */
  readonly sentences: readonly { readonly text: string; readonly place: number }[];
  /** The cosine of every two of them. */
  readonly cosines: readonly (readonly number[])[];
  readonly columns: number;
  readonly isCut: boolean;
  readonly elapsedMs: number;
}

export const similarities = signal<Similarities | undefined>(undefined);

export function compare(model: Pipeline<'feature-extraction'>, lines: readonly string[]): void {
  const sentences = lines.map((text, place) => ({ text, place })).filter(({ text }) => text.trim() !== '');
  work.run(
    async (signal, progress_callback) => {
      const began = performance.now();
      const embeddings = await model(
        sentences.map(({ text }) => text),
        { pooling: 'model', signal, progress_callback },
      );
      const columns = embeddings.dims.at(-1)!;
      const data = embeddings.data as Float32Array;
      const rows = sentences.map((_, i) => data.subarray(i * columns, (i + 1) * columns));
      similarities.value = {
        sentences,
        cosines: rows.map(a => rows.map(b => cos_sim(a, b))),
        columns,
        isCut: embeddings.truncated.some(Boolean),
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: similarities.peek() ? PAUSE_MS : 0 },
  );
}

export interface Next {
  readonly first: string;
  readonly second: string;
  /** The probability that the second sentence follows the first. */
  readonly isNext: number;
  readonly isCut: boolean;
  readonly elapsedMs: number;
}

export const next = signal<Next | undefined>(undefined);

export function predict(model: Pipeline<'next-sentence-prediction'>, first: string, second: string): void {
  nextWork.run(
    async signal => {
      const began = performance.now();
      const { label, score, truncated } = await model(first, second, { signal });
      next.value = {
        first,
        second,
        isNext: label === 'IsNext' ? score : 1 - score,
        isCut: truncated,
        elapsedMs: performance.now() - began,
      };
    },
    { delayMs: next.peek() ? PAUSE_MS : 0 },
  );
}
