import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Ranking } from './ranking.ts';
import { pointed, selected } from './state.ts';
import { contextOf, countOf, spanOf, type TextIndex, textOf } from './text-index.ts';

/** So many passages at first, and more of them at a time. */
const STEP = 20;
/** Characters of the text before and after a passage. */
const CONTEXT = 140;

/** A score that rounds to nothing has no sign. */
const scoreWords = (score: number): string => score.toFixed(2).replace('-0.00', '0.00');

/** The passages, the best first; without a query in the order of the texts. */
export function Results({ index, ranking }: { index: TextIndex; ranking: Ranking | undefined }) {
  const shown = useSignal(STEP);
  useEffect(() => {
    shown.value = STEP;
  }, [index.id, ranking === undefined]);
  const rows = ranking?.rows ?? Array.from({ length: Math.min(countOf(index), shown.value) }, (_, row) => row);
  const most = ranking ? rows.length : countOf(index);
  return (
    <section class="search-results" aria-label={ranking ? 'Passages, the nearest first' : 'Passages'}>
      <ol>
        {rows.slice(0, shown.value).map(row => (
          <Passage key={row} index={index} row={row} score={ranking?.scores[row]} />
        ))}
      </ol>
      {most > shown.value && (
        <button
          type="button"
          class="button button-small"
          onClick={() => {
            shown.value += STEP;
          }}
        >
          Show more
        </button>
      )}
    </section>
  );
}

function Passage({ index, row, score }: { index: TextIndex; row: number; score: number | undefined }) {
  const { before, after } = contextOf(index, row, CONTEXT);
  const isMarked = row === (pointed.value ?? selected.value);
  const isRanked = score !== undefined;
  const hasContext = isRanked && (before !== '' || after !== '');
  const file = index.sources.length > 1 ? index.sources[spanOf(index, row).source]!.name : undefined;
  return (
    <li
      class={`search-hit${isMarked ? ' is-marked' : ''}`}
      onPointerEnter={event => {
        if (event.pointerType === 'mouse') pointed.value = row;
      }}
      onPointerLeave={() => {
        pointed.value = undefined;
      }}
    >
      {isRanked && (
        <span class="search-score">
          {scoreWords(score)}
          <i style={{ '--score': Math.max(0, score) }} />
        </span>
      )}
      <p class="search-passage">
        {hasContext && before && <span class="search-context">{before} </span>}
        {hasContext ? <mark>{textOf(index, row)}</mark> : textOf(index, row)}
        {hasContext && after && <span class="search-context"> {after}</span>}
        {file && <span class="search-file">{file}</span>}
      </p>
    </li>
  );
}
