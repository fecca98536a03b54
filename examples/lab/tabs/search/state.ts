import { signal } from '@preact/signals';
import type { FeatureExtractionPipeline } from 'webgpu-bert';
import { shortNameOf } from '../../shell/model-choice.ts';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import { params, setParams } from '../../shell/route.ts';
import { Work } from '../../shell/work.ts';
import { embedPassages, embedQuery } from './embed.ts';
import type { Read } from './files.ts';
import {
  type IndexNote,
  listIndexes,
  noteOf,
  readIndex,
  removeIndex,
  renameIndex,
  writeLastRows,
  writeRows,
  writeTexts,
} from './index-store.ts';
import type { Source } from './passages.ts';
import type { Query } from './ranking.ts';
import { SAMPLE, SAMPLE_QUERIES } from './sample.ts';
import { countOf, findPassages, MOST_PASSAGES, type ModelNote, type TextIndex } from './text-index.ts';

/** What the tab knows: the texts that are open, the vectors of their passages, the query and what it found. */

export const TAB = 'search';
export const SAMPLE_ID = 'sample';

/** As someone types, so long without a key. */
const PAUSE_MS = 80;

export const slot = new ModelSlot(pipelineKind('feature-extraction'), { tab: TAB, task: 'feature-extraction' });
export const searching = new Work();
export const embedding = new Work();
export const importing = new Work();

/** The texts that are open; undefined while they are looked for. */
export const current = signal<TextIndex | undefined>(undefined);
/** Passages of them whose vectors are there. */
export const embedded = signal(0);
/** What the last embedding took: how fast it was. */
export const embedSpeed = signal<{ tokens: number; elapsedMs: number } | undefined>(undefined);
/** Whether someone has stopped the embedding: it goes on only when it is asked to. */
export const isStopped = signal(false);
/** All indexes that this browser keeps. */
export const notes = signal<readonly IndexNote[]>([]);
/** Why this browser does not keep the index, where it does not. */
export const notKept = signal<unknown>(undefined);
/** What is to be said of the texts: files that were left out, a link to texts that are elsewhere. */
export const notice = signal('');
/** The passage that was chosen, in the list or on the map. */
export const selected = signal<number | undefined>(undefined);
/** The passage under the pointer, in the list or on the map. */
export const pointed = signal<number | undefined>(undefined);

export const query = signal<Query | undefined>(undefined);

export const idOf = (address: URLSearchParams): string => address.get('texts') ?? SAMPLE_ID;
export const queryOf = (address: URLSearchParams): string =>
  address.get('q') ?? (idOf(address) === SAMPLE_ID ? SAMPLE_QUERIES[0] : '');

/** What a narrow page shows; a wide one has room for both. */
export const viewOf = (address: URLSearchParams): 'list' | 'map' => (address.get('view') === 'map' ? 'map' : 'list');

export const setQuery = (text: string): void => setParams(TAB, { q: text });

const problem = (error: unknown): void => {
  notKept.value = error;
};

export const refreshNotes = (): Promise<void> =>
  listIndexes().then(list => {
    notes.value = list;
  }, problem);

function show(index: TextIndex): void {
  embedding.stop();
  isStopped.value = false;
  embedSpeed.value = undefined;
  selected.value = undefined;
  pointed.value = undefined;
  current.value = index;
  embedded.value = index.vectors?.rows ?? 0;
  void refreshNotes();
}

/** Opens the texts that the address names; where they are not here, the sample. */
export function open(id: string): void {
  if (current.peek()?.id === id) return;
  importing.clear();
  importing.run(async signal => {
    const kept = await readIndex(id).catch(problem);
    signal.throwIfAborted();
    if (kept) return show(kept);
    if (id !== SAMPLE_ID) {
      notice.value = 'The texts of this link are kept by the browser that made it; here is the sample.';
      setParams(TAB, { texts: undefined });
    }
    show(await made([SAMPLE], SAMPLE_ID, SAMPLE.name, signal));
  });
}

async function made(sources: readonly Source[], id: string, name: string, signal: AbortSignal): Promise<TextIndex> {
  const { passages, isCut } = await findPassages(sources, signal);
  if (isCut) notice.value = `Only the first ${MOST_PASSAGES.toLocaleString('en')} passages are taken.`;
  const index: TextIndex = { id, name, createdAt: Date.now(), sources, passages, vectors: undefined };
  await writeTexts(index).catch(problem);
  return index;
}

/** Texts of files, or pasted ones, as a new index. `read` gives them, and the names of what was left out. */
export function create(read: () => Promise<Read>): void {
  importing.run(async signal => {
    const { sources, leftOut } = await read();
    const [first, ...others] = sources;
    notice.value = leftOut.length > 0 ? `Left out, as they have no text: ${leftOut.join(', ')}` : '';
    const name = others.length > 0 ? `${first!.name} and ${others.length} more` : first!.name;
    const index = await made(sources, crypto.randomUUID(), name, signal);
    show(index);
    setParams(TAB, { texts: index.id, q: '' });
  });
}

/** More texts for the index that is open. The vectors that it has stay. */
export function add(read: () => Promise<Read>): void {
  const index = current.peek();
  if (!index) return;
  importing.run(async signal => {
    const { sources, leftOut } = await read();
    notice.value = leftOut.length > 0 ? `Left out, as they have no text: ${leftOut.join(', ')}` : '';
    const all = [...index.sources, ...sources];
    const { passages, isCut } = await findPassages(all, signal);
    if (isCut) notice.value = `Only the first ${MOST_PASSAGES.toLocaleString('en')} passages are taken.`;
    const { vectors } = index;
    const longer: TextIndex = { ...index, sources: all, passages, vectors: undefined };
    if (vectors) {
      const data = new Float32Array(countOf(longer) * vectors.dims);
      data.set(vectors.data.subarray(0, vectors.rows * vectors.dims));
      longer.vectors = { ...vectors, data };
    }
    await writeTexts(longer).catch(problem);
    show(longer);
  });
}

export async function rename(id: string, name: string): Promise<void> {
  const index = current.peek();
  if (index?.id === id) current.value = { ...index, name };
  await renameIndex(id, name).catch(problem);
  await refreshNotes();
}

export async function remove(id: string): Promise<void> {
  await removeIndex(id).catch(problem);
  await refreshNotes();
  if (current.peek()?.id !== id) return;
  embedding.stop();
  current.value = undefined;
  setParams(TAB, { texts: undefined, q: undefined });
  open(SAMPLE_ID);
}

export function choose(id: string): void {
  notice.value = '';
  setParams(TAB, { texts: id === SAMPLE_ID ? undefined : id, q: undefined });
}

function modelNote(): ModelNote {
  const choice = slot.choice.peek()!;
  return { name: shortNameOf(choice), id: 'id' in choice ? choice.id : undefined, dtype: slot.dtype.peek() };
}

/** Embeds what has no vector yet, or all of it where the vectors are of another model. */
export function embed(extractor: FeatureExtractionPipeline, index: TextIndex): void {
  isStopped.value = false;
  const isNew = index.vectors?.space !== extractor.space;
  embedding.run(async signal => {
    await embedPassages(extractor, index, {
      model: modelNote(),
      signal,
      page: window,
      onRows: (rows, total, speed) => {
        embedded.value = rows;
        embedSpeed.value = speed;
        embedding.progress.value = { done: rows, total };
      },
      keep: from => writeRows(index, from).catch(problem),
      keepAtOnce: from => void writeLastRows(index, from).catch(problem),
    });
    await refreshNotes();
  });
  // In view from the beginning, so that it can be stopped.
  embedding.progress.value = { done: isNew ? 0 : embedded.peek(), total: countOf(index) };
}

export function stopEmbedding(): void {
  embedding.stop();
  isStopped.value = true;
}

export function search(extractor: FeatureExtractionPipeline, text: string): void {
  // Also where there is nothing new to ask: a query that was changed and changed back must not get the answer of what was between.
  searching.clear();
  if (text.trim() === '') {
    query.value = undefined;
    return;
  }
  const { space } = extractor;
  if (query.peek()?.text === text && query.peek()?.space === space) return;
  searching.run(
    async signal => {
      const began = performance.now();
      const vector = await embedQuery(extractor, text, signal);
      query.value = { text, space, vector, elapsedMs: performance.now() - began };
    },
    { delayMs: query.peek() ? PAUSE_MS : 0 },
  );
}

/** The notes, where the index that is open is not among them because the browser keeps none. */
export function shownNotes(): readonly IndexNote[] {
  const index = current.value;
  const kept = notes.value;
  return index && !kept.some(({ id }) => id === index.id) ? [noteOf(index), ...kept] : kept;
}

/** Re-reads the address when it changes: another index may be named. */
export const followIndex = (): void => open(idOf(params.peek()));
