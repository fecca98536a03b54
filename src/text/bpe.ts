import { UnsupportedError } from '../errors.ts';
import { type Fields, isText } from '../fields.ts';
import { byteTokens, type Model, type Piece, vocabulary } from './vocabulary.ts';

/** Byte-pair encoding (Sennrich et al. 2016): characters, merged pair by pair in the order the merges were learnt. */
export function buildBpe(config: Fields): Model {
  if (config.json.dropout) {
    throw new UnsupportedError({ what: 'a tokenizer with dropout is not supported', supported: ['dropout: null'] });
  }
  const prefix = config.text('continuing_subword_prefix', '');
  const suffix = config.text('end_of_word_suffix', '');
  const unknown = config.has('unk_token') ? config.text('unk_token') : undefined;
  const fusesUnknown = config.flag('fuse_unk', false);
  const fallsBack = config.flag('byte_fallback', false);
  const ignoresMerges = config.flag('ignore_merges', false);
  const ids = vocabulary(config, unknown);
  const merges = readMerges(config, ids, prefix);

  const characters = (word: string): Piece[] => {
    const found: Piece[] = [];
    let pending: Piece | undefined;
    let start = 0;
    for (const character of word) {
      const end = start + character.length;
      const token = (start > 0 ? prefix : '') + character + (end === word.length ? suffix : '');
      const id = ids.get(token);
      const bytes = id === undefined && fallsBack ? byteTokens(ids, token) : undefined;
      if (id !== undefined) {
        if (pending !== undefined) found.push(pending);
        pending = undefined;
        found.push({ id, token, start, end });
      } else if (bytes !== undefined) {
        for (const byte of bytes) found.push({ id: ids.get(byte)!, token: byte, start, end });
      } else if (unknown !== undefined) {
        if (pending !== undefined && fusesUnknown) pending.end = end;
        else {
          if (pending !== undefined) found.push(pending);
          pending = { id: ids.get(unknown)!, token: unknown, start, end };
        }
      }
      start = end;
    }
    if (pending !== undefined) found.push(pending);
    return found;
  };

  const pieces = (word: string): Piece[] => {
    const id = ignoresMerges ? ids.get(word) : undefined;
    if (id !== undefined) return [{ id, token: word, start: 0, end: word.length }];
    return merges.apply(characters(word));
  };
  return { ids, ...(prefix === '' ? {} : { continuingSubwordPrefix: prefix }), pieces };
}

interface Merge {
  rank: number;
  id: number;
  token: string;
}

/** Pairs of ids and what they become; the Map's key is left * span + right. */
function readMerges(config: Fields, ids: ReadonlyMap<string, number>, prefix: string) {
  const span = [...ids.values()].reduce((greatest, id) => Math.max(greatest, id), 0) + 1;
  const byPair = new Map<number, Merge>();
  config.list('merges').forEach((entry, rank) => {
    const pair: unknown = isText(entry) ? entry.split(' ') : entry;
    const parts: string[] = Array.isArray(pair) && pair.length === 2 && pair.every(isText) ? pair : [];
    const token = parts[0] + (parts[1] ?? '').slice(prefix.length);
    const [leftId, rightId, id] = [...parts, token].map(part => ids.get(part));
    if (leftId === undefined || rightId === undefined || id === undefined) {
      throw config.malformed(entry, 'two tokens of the vocabulary that join to another', `merges[${rank}]`);
    }
    byPair.set(leftId * span + rightId, { rank, id, token });
  });
  const find = (left: Piece, right: Piece) => byPair.get(left.id * span + right.id);

  /** The lowest rank first, the leftmost of equals first. */
  const apply = (pieces: Piece[]): Piece[] => {
    const next = pieces.map((_, i) => i + 1);
    const previous = pieces.map((_, i) => i - 1);
    const gone = new Uint8Array(pieces.length);
    const queue = new MergeQueue();
    const offer = (left: number, right: number) => {
      if (left < 0 || right >= pieces.length) return;
      const merge = find(pieces[left]!, pieces[right]!);
      if (merge !== undefined) queue.push({ ...merge, position: left });
    };
    for (let i = 0; i + 1 < pieces.length; i++) offer(i, i + 1);
    for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
      const left = top.position;
      const right = next[left]!;
      // What was queued may have been merged away since.
      if (gone[left] || right >= pieces.length || find(pieces[left]!, pieces[right]!)?.id !== top.id) continue;
      pieces[left] = { id: top.id, token: top.token, start: pieces[left]!.start, end: pieces[right]!.end };
      gone[right] = 1;
      next[left] = next[right]!;
      if (next[left]! < pieces.length) previous[next[left]!] = left;
      offer(previous[left]!, left);
      offer(left, next[left]!);
    }
    return pieces.filter((_, i) => !gone[i]);
  };
  return { apply };
}

type Queued = Merge & { position: number };

/** A binary heap: long words would be quadratic without one. */
class MergeQueue {
  private readonly heap: Queued[] = [];

  push(item: Queued): void {
    const { heap } = this;
    let at = heap.push(item) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && before(item, heap[parent]!); parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  pop(): Queued | undefined {
    const { heap } = this;
    const top = heap[0];
    const item = heap.pop();
    if (item === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (child >= heap.length || !before(heap[child]!, item)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = item;
    return top;
  }
}

function before(a: Queued, b: Queued): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.position < b.position);
}
