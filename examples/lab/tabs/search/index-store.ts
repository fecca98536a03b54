import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Source } from './passages.ts';
import { countOf, type ModelNote, type Passages, type TextIndex, type Vectors } from './text-index.ts';

/**
 * The indexes that this browser keeps, in IndexedDB: what a list shows of each, its texts, and its vectors in blocks of rows, so that a
 * long index is kept as it grows. Every block names its space, so that rows of two models never come together, whichever pages write.
 */

export interface IndexNote {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** Names of the sources. */
  readonly files: readonly string[];
  readonly passages: number;
  readonly characters: number;
  readonly vectors: { space: string; model: ModelNote; dims: number; rows: number } | undefined;
}

interface Texts {
  readonly id: string;
  readonly sources: readonly Source[];
  readonly passages: Passages;
}

interface Block {
  readonly space: string;
  readonly data: Float32Array;
}

interface Schema extends DBSchema {
  notes: { key: string; value: IndexNote };
  texts: { key: string; value: Texts };
  blocks: { key: [id: string, block: number]; value: Block };
}

/** Rows of a block. */
const BLOCK = 256;

let opened: Promise<IDBPDatabase<Schema>> | undefined;

/** Rejects where the browser keeps nothing, as in some private windows. */
function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>('webgpu-bert-lab-search', 1, {
    upgrade(db) {
      db.createObjectStore('notes', { keyPath: 'id' });
      db.createObjectStore('texts', { keyPath: 'id' });
      db.createObjectStore('blocks');
    },
    // The browser may close it, to free storage: it is opened anew by the next who asks.
    terminated() {
      opened = undefined;
    },
  });
  opened.catch(() => {
    opened = undefined;
  });
  return opened;
}

const blocksOf = (id: string) => IDBKeyRange.bound([id, 0], [id, Number.POSITIVE_INFINITY]);

export function noteOf({ id, name, createdAt, sources, passages, vectors }: TextIndex): IndexNote {
  return {
    id,
    name,
    createdAt,
    files: sources.map(source => source.name),
    passages: passages.starts.length,
    characters: sources.reduce((sum, { text }) => sum + text.length, 0),
    vectors: vectors && { space: vectors.space, model: vectors.model, dims: vectors.dims, rows: vectors.rows },
  };
}

/** The youngest first. */
export async function listIndexes(): Promise<IndexNote[]> {
  const notes = await (await database()).getAll('notes');
  return notes.sort((a, b) => b.createdAt - a.createdAt);
}

/** An index with its texts and vectors; undefined where there is none. */
export async function readIndex(id: string): Promise<TextIndex | undefined> {
  const tx = (await database()).transaction(['notes', 'texts', 'blocks']);
  const [note, texts] = await Promise.all([tx.objectStore('notes').get(id), tx.objectStore('texts').get(id)]);
  if (!note || !texts) return undefined;
  const { name, createdAt } = note;
  const index: TextIndex = {
    id,
    name,
    createdAt,
    sources: texts.sources,
    passages: texts.passages,
    vectors: undefined,
  };
  if (!note.vectors) return index;
  const { space, model, dims } = note.vectors;
  const vectors: Vectors = { space, model, dims, rows: 0, data: new Float32Array(countOf(index) * dims) };
  // One block at a time: the page stays free between them.
  for (let block = 0; block * BLOCK < countOf(index); block += 1) {
    const kept = await tx.objectStore('blocks').get([id, block]);
    if (kept?.space !== space) break;
    vectors.data.set(kept.data, block * BLOCK * dims);
    vectors.rows += kept.data.length / dims;
    // A block that is not full is the last one that can be used.
    if (kept.data.length < BLOCK * dims) break;
  }
  return { ...index, vectors };
}

/** Writes the texts of an index; its vectors are written by writeRows. */
export async function writeTexts(index: TextIndex): Promise<void> {
  const tx = (await database()).transaction(['notes', 'texts'], 'readwrite');
  const { id, sources, passages } = index;
  await Promise.all([
    tx.objectStore('notes').put(noteOf(index)),
    tx.objectStore('texts').put({ id, sources, passages }),
    tx.done,
  ]);
}

/** Writes the rows from `from` on; with from = 0 the vectors of another space are taken out. Nothing is written for an index that is gone. */
export async function writeRows(index: TextIndex, from: number): Promise<void> {
  const { id, vectors } = index;
  if (!vectors) return;
  const { space, model, dims, rows } = vectors;
  const tx = (await database()).transaction(['notes', 'blocks'], 'readwrite');
  const blocks = tx.objectStore('blocks');
  const note = await tx.objectStore('notes').get(id);
  if (!note || (from > 0 && note.vectors?.space !== space)) return;
  // Another page may have added texts meanwhile, which are kept: only what is known of the vectors changes.
  const writes: Promise<unknown>[] = from === 0 ? [blocks.delete(blocksOf(id))] : [];
  for (const [key, block] of blocksFrom(id, vectors, from)) writes.push(blocks.put(block, key));
  writes.push(tx.objectStore('notes').put({ ...note, vectors: { space, model, dims, rows } }));
  await Promise.all([...writes, tx.done]);
}

/**
 * The same as the page goes away: nothing can be waited for, so the note stays as it is. The first rows of a space are none of these, and
 * readIndex counts the rows of the blocks.
 */
export async function writeLastRows({ id, vectors }: TextIndex, from: number): Promise<void> {
  if (!vectors) return;
  const tx = (await database()).transaction('blocks', 'readwrite');
  const writes = blocksFrom(id, vectors, from).map(([key, block]) => tx.store.put(block, key));
  tx.commit();
  await Promise.all([...writes, tx.done]);
}

/** The blocks that have the rows from `from` on, with their keys. */
function blocksFrom(id: string, { space, data, dims, rows }: Vectors, from: number): [[string, number], Block][] {
  const blocks: [[string, number], Block][] = [];
  for (let block = Math.floor(from / BLOCK); block * BLOCK < rows; block += 1) {
    const part = data.slice(block * BLOCK * dims, Math.min(rows, (block + 1) * BLOCK) * dims);
    blocks.push([[id, block], { space, data: part }]);
  }
  return blocks;
}

export async function renameIndex(id: string, name: string): Promise<void> {
  const tx = (await database()).transaction('notes', 'readwrite');
  const note = await tx.store.get(id);
  if (note) await tx.store.put({ ...note, name });
  await tx.done;
}

export async function removeIndex(id: string): Promise<void> {
  const tx = (await database()).transaction(['notes', 'texts', 'blocks'], 'readwrite');
  await Promise.all([
    tx.objectStore('notes').delete(id),
    tx.objectStore('texts').delete(id),
    tx.objectStore('blocks').delete(blocksOf(id)),
    tx.done,
  ]);
}
