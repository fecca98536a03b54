import { type Fields, isText } from '../json.ts';
import { sizeAt } from './aligned-text.ts';
import { type Piece, piecesOf, tokenSearch, type VocabularyModel } from './vocabulary.ts';

/** The score of an unknown character is this much below that of the worst token (SentencePiece, unigram_model.cc). */
const UNKNOWN_PENALTY = 10;

/** Unigram (Kudo 2018): the pieces with the greatest sum of log-probabilities. Unknown characters in a row make one piece. */
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
  const worst = scores.reduce((worst, score) => Math.min(worst, score), Number.POSITIVE_INFINITY);
  const unknownScore = asRead(worst) - UNKNOWN_PENALTY;
  /** The scores as Rust reads them. Few of the many are ever needed, and the reading takes its time. */
  const read: number[] = [];
  const scoreOf = (id: number): number => {
    read[id] ??= asRead(scores[id]!);
    return read[id]!;
  };
  const fallsBack = config.flag('byte_fallback', false);
  const search = tokenSearch(ids);

  const pieces = (word: string): Piece[] => {
    /** For every place in the word: the last piece of the best segmentation that ends there, and its total score. */
    const best: { start: number; total: number; id: number }[] = [{ start: 0, total: 0, id: unknownId }];
    for (let start = 0; start < word.length; ) {
      const next = start + sizeAt(word, start);
      let isKnown = false;
      const offer = (end: number, id: number, score: number) => {
        const total = best[start]!.total + score;
        if (best[end] === undefined || total > best[end].total) best[end] = { start, total, id };
      };
      search.all(word, start, (end, id) => {
        if (end < next) return;
        offer(end, id, scoreOf(id));
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
      const pieces = piecesOf(ids, { token, start, end }, fallsBack) ?? [{ id: unknownId, token, start, end }];
      if (pieces[0]?.id === -1) throw config.malformed(null, `an id for ${JSON.stringify(token)}`, 'unk_id');
      return pieces;
    });
  };
  return { ids, pieces };
}

/**
 * A score as the Rust tokenizers read it. Their parser of JSON takes the digits for a whole number, which is rounded to 53 bits, and divides it
 * by a power of ten, which rounds again. The last bit decides between segmentations of equal pieces in another order, as of "-----".
 */
function asRead(score: number): number {
  const [decimal, exponent = '0'] = String(score).split('e') as [string, string?];
  const point = decimal.indexOf('.');
  const scale = Number(exponent) - (point < 0 ? 0 : decimal.length - point - 1);
  const digits = Number(decimal.replace('.', ''));
  return scale < 0 ? digits / 10 ** -scale : digits * 10 ** scale;
}
