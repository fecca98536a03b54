import { type Fields, isText } from '../json.ts';
import { sizeAt } from './aligned-text.ts';
import { type Piece, piecesOf, tokenSearch, type VocabularyModel } from './vocabulary.ts';

/** How much worse than the worst token an unknown character scores (SentencePiece, unigram_model.cc). */
const UNKNOWN_PENALTY = 10;

/** Unigram (Kudo 2018): the pieces of the greatest summed log-probability; unknown characters in a row are one. */
export function buildUnigram(config: Fields): VocabularyModel {
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
  const search = tokenSearch(ids);

  const pieces = (word: string): Piece[] => {
    /** For every place in the word, the last piece of the best way there. */
    const best: { start: number; total: number; id: number }[] = [{ start: 0, total: 0, id: unknownId }];
    for (let start = 0; start < word.length; ) {
      const next = start + sizeAt(word, start);
      let isKnown = false;
      const offer = (end: number, id: number, score: number) => {
        const total = best[start]!.total + score;
        if (best[end] === undefined || total > best[end].total) best[end] = { start, total, id };
      };
      search.each(word, start, (end, id) => {
        if (end < next) return;
        offer(end, id, scores[id]!);
        if (end === next) isKnown = true;
      });
      if (!isKnown) offer(next, unknownId, unknownScore);
      start = next;
    }
    const spans: { start: number; end: number; id: number }[] = [];
    for (let end = word.length; end > 0; end = best[end]!.start) {
      const last = spans.at(-1);
      const { start, id } = best[end]!;
      if (id === unknownId && last?.id === unknownId) last.start = start;
      else spans.push({ start, end, id });
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
