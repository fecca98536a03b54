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
    const merge = (position: number, right: number): Queued[] => {
      const found = position >= 0 && right < pieces.length ? find(pieces[position]!, pieces[right]!) : undefined;
      return found ? [{ ...found, position }] : [];
    };
    // Sorted, the next one last: a long word would be quadratic if it were searched for each time.
    const queue = pieces.flatMap((_, i) => merge(i, i + 1)).sort(last);
    const offer = (position: number, right: number) => {
      for (const item of merge(position, right)) {
        let [low, high] = [0, queue.length];
        while (low < high) {
          const middle = (low + high) >> 1;
          if (last(queue[middle]!, item) < 0) low = middle + 1;
          else high = middle;
        }
        queue.splice(low, 0, item);
      }
    };
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

const last = (a: Queued, b: Queued) => b.rank - a.rank || b.position - a.position;
