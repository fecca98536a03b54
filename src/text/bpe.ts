import { UnsupportedError } from '../errors.ts';
import { type Fields, isText } from '../json.ts';
import { type Piece, piecesOf, readVocabulary, unknownId, type VocabularyModel } from './vocabulary.ts';

/** Byte-pair encoding (Sennrich et al. 2016): the characters of a word are merged pair by pair, in the order in which the merges were learnt. */
export function buildBpe(config: Fields): VocabularyModel {
  if (config.json.dropout) {
    throw new UnsupportedError({ what: 'a tokenizer with dropout is not supported', supported: ['dropout: null'] });
  }
  const prefix = config.text('continuing_subword_prefix', '');
  const suffix = config.text('end_of_word_suffix', '');
  const unknown = config.has('unk_token') ? config.text('unk_token') : undefined;
  const fusesUnknown = config.flag('fuse_unk', false);
  const fallsBack = config.flag('byte_fallback', false);
  const ignoresMerges = config.flag('ignore_merges', false);
  const ids = readVocabulary(config);
  for (const [token, id] of ids) {
    if (id >= SPAN) throw config.malformed(id, `ids below ${SPAN}`, `vocab[${JSON.stringify(token)}]`);
  }
  const merge = readMerges(config, ids, prefix);

  const characters = (word: string): Piece[] => {
    const pieces: Piece[] = [];
    let start = 0;
    let wasUnknown = false;
    for (const character of word) {
      const end = start + character.length;
      const token = (start > 0 ? prefix : '') + character + (end === word.length ? suffix : '');
      const knownPieces = piecesOf(ids, { token, start, end }, fallsBack);
      for (const piece of knownPieces ?? []) pieces.push(piece);
      if (!knownPieces && unknown !== undefined) {
        if (wasUnknown && fusesUnknown) pieces.at(-1)!.end = end;
        else pieces.push({ id: unknownId(config, { ids, unknown, word }), token: unknown, start, end });
      }
      wasUnknown = !knownPieces;
      start = end;
    }
    return pieces;
  };

  const pieces = (word: string): Piece[] => {
    const id = ignoresMerges ? ids.get(word) : undefined;
    return id === undefined ? merge(characters(word)) : [{ id, token: word, start: 0, end: word.length }];
  };
  return { ids, continuingSubwordPrefix: prefix || undefined, pieces };
}

/** More than the tokens of a vocabulary or the characters of a word. Two numbers below it make one key: a * SPAN + b. */
const SPAN = 2 ** 26;

/** A function that merges the pieces of a word: first the pair of the lowest rank; of two pairs of equal rank the left one. */
function readMerges(config: Fields, ids: ReadonlyMap<string, number>, prefix: string) {
  /** Pairs of ids (left * SPAN + right) and what they become. */
  const byPair = new Map<number, { rank: number; id: number; token: string }>();
  // A file of merges begins with a line with its version. Some tools keep it in the list; as in Rust it is skipped and takes no rank.
  const merges = config.list('merges').filter(entry => !(isText(entry) && entry.startsWith('#version')));
  merges.forEach((entry, rank) => {
    const [left, right, more] = isText(entry) ? entry.split(' ') : Array.isArray(entry) ? entry : [];
    const areTexts = isText(left) && isText(right) && right.length >= prefix.length;
    const token = areTexts ? left + right.slice(prefix.length) : undefined;
    const [leftId, rightId] = [ids.get(left), ids.get(right)];
    const id = token === undefined ? undefined : ids.get(token);
    if (
      token === undefined ||
      leftId === undefined ||
      rightId === undefined ||
      id === undefined ||
      more !== undefined
    ) {
      throw config.malformed(entry, 'two tokens of the vocabulary that join to another', `merges[${rank}]`);
    }
    byPair.set(leftId * SPAN + rightId, { rank, id, token });
  });

  return (pieces: Piece[]): Piece[] => {
    const next = pieces.map((_, i) => i + 1);
    const previous = pieces.map((_, i) => i - 1);
    const gone = new Uint8Array(pieces.length);
    /** A heap of the pairs that may be merged, as rank * SPAN + index of the left piece. */
    const queue: number[] = [];
    const find = (left: number) => {
      const right = pieces[next[left]!];
      return right && byPair.get(pieces[left]!.id * SPAN + right.id);
    };
    const offer = (left: number) => {
      const merge = left < 0 ? undefined : find(left);
      if (merge) push(queue, merge.rank * SPAN + left);
    };
    for (let i = 0; i < pieces.length; i++) offer(i);
    while (queue.length > 0) {
      const key = pop(queue);
      const left = key % SPAN;
      const merge = gone[left] ? undefined : find(left);
      // One of the two may have been merged with another piece since it was queued.
      if (merge?.rank !== Math.floor(key / SPAN)) continue;
      const right = next[left]!;
      pieces[left] = { id: merge.id, token: merge.token, start: pieces[left]!.start, end: pieces[right]!.end };
      gone[right] = 1;
      next[left] = next[right]!;
      previous[next[left]!] = left;
      offer(previous[left]!);
      offer(left);
    }
    return pieces.filter((_, i) => !gone[i]);
  };
}

/** Puts a number into a binary heap, whose smallest number is first. Without a heap, long words would take quadratic time. */
function push(heap: number[], item: number): void {
  let at = heap.length;
  for (let parent = (at - 1) >> 1; at > 0 && item < heap[parent]!; parent = (at - 1) >> 1) {
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = item;
}

/** Takes the smallest number out of a heap that is not empty. */
function pop(heap: number[]): number {
  const smallest = heap[0]!;
  const item = heap.pop()!;
  let at = 0;
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (heap[child + 1]! < heap[child]!) child++;
    if (item <= heap[child]!) break;
    heap[at] = heap[child]!;
    at = child;
  }
  if (heap.length > 0) heap[at] = item;
  return smallest;
}
