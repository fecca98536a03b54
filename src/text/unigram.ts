import { type Fields, isText } from '../fields.ts';
import { sizeAt } from './aligned-text.ts';
import { longestToken, type Model, type Piece, piecesOf } from './vocabulary.ts';

/** How much worse than the worst token an unknown character scores (SentencePiece, unigram_model.cc). */
const UNKNOWN_PENALTY = 10;

/** Unigram (Kudo 2018): the pieces of the greatest summed log-probability; unknown characters in a row are one. */
export function buildUnigram(config: Fields): Model {
  const ids = new Map<string, number>();
  const scores = config.list('vocab').map((entry, id) => {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (!isText(token) || typeof score !== 'number') throw config.malformed(entry, '[token, score]', `vocab[${id}]`);
    ids.set(token, id);
    return score;
  });
  const unknownId = config.has('unk_id') ? config.integer('unk_id') : -1;
  if (unknownId >= scores.length) throw config.malformed(unknownId, `less than ${scores.length}`, 'unk_id');
  const unknownScore =
    scores.reduce((worst, score) => Math.min(worst, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const fallsBack = config.flag('byte_fallback', false);
  const longest = longestToken(ids);

  /** For every place in the word, where the last piece of the best way there starts, and its id. */
  const bestPath = (word: string) => {
    const best = new Float64Array(word.length + 1);
    const from = new Int32Array(word.length + 1).fill(-1);
    const id = new Int32Array(word.length + 1);
    const offer = (start: number, end: number, tokenId: number, score: number) => {
      const total = best[start]! + score;
      if (from[end]! >= 0 && total <= best[end]!) return;
      best[end] = total;
      from[end] = start;
      id[end] = tokenId;
    };
    for (let start = 0; start < word.length; ) {
      const next = start + sizeAt(word, start);
      const limit = Math.min(word.length, start + longest);
      for (let end = next; end <= limit; end++) {
        const tokenId = ids.get(word.slice(start, end));
        if (tokenId !== undefined) offer(start, end, tokenId, scores[tokenId]!);
      }
      if (!ids.has(word.slice(start, next))) offer(start, next, unknownId, unknownScore);
      start = next;
    }
    return { from, id };
  };

  const pieces = (word: string): Piece[] => {
    const { from, id } = bestPath(word);
    const spans: { start: number; end: number; isUnknown: boolean }[] = [];
    for (let end = word.length; end > 0; end = from[end]!) {
      const last = spans.at(-1);
      const isUnknown = id[end] === unknownId;
      if (isUnknown && last?.isUnknown) last.start = from[end]!;
      else spans.push({ start: from[end]!, end, isUnknown });
    }
    return spans.reverse().flatMap(({ start, end }) => {
      const token = word.slice(start, end);
      const found = piecesOf(ids, { token, start, end }, fallsBack) ?? [{ id: unknownId, token, start, end }];
      if (found[0]?.id === -1) throw config.malformed(null, `an id for ${JSON.stringify(token)}`, 'unk_id');
      return found;
    });
  };
  return { ids, pieces };
}
