import { useEffect, useLayoutEffect, useMemo } from 'preact/hooks';
import { Failure } from '../../../shell/failure.tsx';
import { count } from '../../../shell/format.ts';
import { WorkLine } from '../../../shell/work-status.tsx';
import type { Ranking } from '../ranking.ts';
import { embedded, pointed, selected } from '../state.ts';
import { countOf, spanOf, type TextIndex, textOf } from '../text-index.ts';
import { FILE_COLOURS, MapCanvas } from './map-canvas.tsx';
import {
  drawMap,
  FEWEST_FOR_MAP,
  FEWEST_FOR_UMAP,
  followTexts,
  lookAround,
  mapping,
  mapStep,
  placeOfQuery,
  type SentenceMap,
  type Surroundings,
  sentenceMap,
  surroundings,
} from './map-state.ts';
import type { Marks, Shades } from './paint.ts';

/** So many hits are larger than the other points. */
const HITS = 5;

/** Every passage as a point: near each other what means the same. */
export function MapPanel({ index, ranking }: { index: TextIndex; ranking: Ranking | undefined }) {
  const rows = embedded.value;
  const total = countOf(index);
  const map = sentenceMap.value;
  const isCurrent = map !== undefined && map.id === index.id && map.space === index.vectors?.space;
  const drawnRows = isCurrent ? map.rows : 0;
  // While a long text is embedded the map grows with it, but not at every step.
  const isDue = rows >= FEWEST_FOR_MAP && (rows === total ? drawnRows < total : rows > 1.5 * drawnRows + 16);
  useEffect(() => {
    if (isDue && !mapping.isBusy.peek()) drawMap(index, 'pca');
  }, [index, isDue, mapping.isBusy.value]);
  useEffect(() => followTexts(index.id), [index.id]);
  if (!isCurrent) {
    return (
      <section class="map" aria-label="Map">
        <p class="note">{waitingWords(rows, total)}</p>
        <Failure error={mapping.error.value} />
      </section>
    );
  }
  return <ShownMap index={index} map={map} ranking={ranking} />;
}

function waitingWords(rows: number, total: number): string {
  if (total < FEWEST_FOR_MAP) return `A map takes ${FEWEST_FOR_MAP} passages or more.`;
  return rows < FEWEST_FOR_MAP ? 'The map is drawn as soon as passages are embedded.' : 'Drawing the map';
}

function ShownMap({ index, map, ranking }: { index: TextIndex; map: SentenceMap; ranking: Ranking | undefined }) {
  const row = pointed.value ?? selected.value;
  const shown = row !== undefined && row < map.rows ? row : undefined;
  const { vectors } = index;
  // Before the browser paints: the neighbours of a short text come with the passage.
  useLayoutEffect(() => {
    if (vectors && shown !== undefined) void lookAround(vectors, shown);
  }, [vectors, shown, map.rows]);
  const around = surroundings.value?.vectors === vectors ? surroundings.value : undefined;
  const files = index.sources.length;
  const shades = useMemo<Shades>(
    () => ({
      owners: files > 1 ? index.passages.sources : undefined,
      scores: ranking?.scores,
      hits: ranking?.rows.slice(0, HITS) ?? [],
    }),
    [index, files, ranking],
  );
  const place = useMemo(() => ranking && placeOfQuery(map, ranking.query.vector, ranking.scores), [map, ranking]);
  const marks = useMemo<Marks>(
    () => ({
      query: place,
      row: shown,
      neighbours: around && around.row === shown ? around.neighbours.map(({ row }) => row) : [],
    }),
    [place, shown, around],
  );
  const canUmap = map.rows >= FEWEST_FOR_UMAP;
  const isBusy = mapping.isBusy.value && mapStep.value !== 'Drawing the map';
  const isStopped = mapping.isStopped.value;
  return (
    <section class="map" aria-label="Map">
      <div class="map-head">
        <fieldset class="map-kinds" aria-label="Layout">
          <button
            type="button"
            class="button button-small"
            aria-pressed={map.kind === 'pca' && !isBusy}
            onClick={() => drawMap(index, 'pca')}
          >
            PCA
          </button>
          <button
            type="button"
            class="button button-small"
            aria-pressed={map.kind === 'umap' || isBusy}
            disabled={!canUmap}
            title={canUmap ? undefined : `For ${FEWEST_FOR_UMAP} passages or more`}
            onClick={() => drawMap(index, 'umap')}
          >
            UMAP
          </button>
        </fieldset>
        {(isBusy || isStopped) && (
          <WorkLine
            words={isStopped ? 'Stopped' : mapStep.value}
            progress={mapping.progress.value}
            isStopped={isStopped}
            goOn="Begin again"
            onStop={() => mapping.halt()}
            onGoOn={() => mapping.again()}
          />
        )}
        {!isBusy && <p class="note">{wordsOf(map)}</p>}
      </div>
      <Failure error={mapping.error.value} />
      <MapCanvas index={index} map={map} shades={shades} marks={marks} />
      {files > 1 && <Legend index={index} />}
      <PointFacts index={index} around={shown === undefined ? undefined : around} />
    </section>
  );
}

function wordsOf({ kind, plane, rows, moved }: SentenceMap): string {
  const passages = count(rows, 'passage');
  if (kind === 'pca') return `${passages}; two directions, ${Math.round(100 * plane.explained)} % of the variance`;
  if (moved && moved.done < moved.total) return `${passages}; moved ${moved.done} of ${moved.total} times`;
  return `${passages}; neighbours kept together, distances between groups mean little`;
}

function Legend({ index }: { index: TextIndex }) {
  return (
    <ul class="map-legend">
      {index.sources.map(({ name }, i) => (
        <li key={i} style={{ '--dot': `var(--file-${(i % FILE_COLOURS) + 1})` }}>
          {name}
        </li>
      ))}
    </ul>
  );
}

/** The passage that is pointed at or chosen, and those that mean the most similar. */
function PointFacts({ index, around }: { index: TextIndex; around: Surroundings | undefined }) {
  if (!around) {
    return (
      <p class="note">Point at a passage, or go through them with the arrow keys, to read it and its neighbours.</p>
    );
  }
  const { row, neighbours } = around;
  const file = index.sources.length > 1 ? index.sources[spanOf(index, row).source]!.name : undefined;
  return (
    <div class="map-facts">
      <p aria-live="polite">
        <strong>{textOf(index, row)}</strong> {file && <span class="search-file">{file}</span>}
      </p>
      <h3>Nearest to it</h3>
      <ol class="map-neighbours">
        {neighbours.map(each => (
          <li key={each.row}>
            <button
              type="button"
              onClick={() => {
                selected.value = each.row;
              }}
            >
              <span class="number">{each.score.toFixed(2)}</span>
              <span>{textOf(index, each.row)}</span>
            </button>
          </li>
        ))}
      </ol>
    </div>
  );
}
