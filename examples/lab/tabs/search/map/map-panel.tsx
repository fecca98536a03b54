import { useEffect, useMemo } from 'preact/hooks';
import { Failure } from '../../../shell/failure.tsx';
import { count } from '../../../shell/format.ts';
import { embedded, pointed, query, type Ranking, selected } from '../state.ts';
import { countOf, spanOf, type TextIndex, textOf } from '../text-index.ts';
import { FILE_COLOURS, MapCanvas } from './map-canvas.tsx';
import {
  drawMap,
  FEWEST_FOR_UMAP,
  mapping,
  mapStep,
  neighboursOfRow,
  placeOfQuery,
  type SentenceMap,
  sentenceMap,
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
  const isDue = rows >= 3 && (rows === total ? drawnRows < total : rows > 1.5 * drawnRows + 16);
  useEffect(() => {
    if (isDue && !mapping.isBusy.peek()) drawMap(index, 'pca');
  }, [index, isDue, mapping.isBusy.value]);
  useEffect(() => () => mapping.stop(), [index.id]);
  if (!isCurrent) {
    return (
      <section class="map" aria-label="Map">
        <p class="note">{rows < 3 ? 'The map is drawn as soon as passages are embedded.' : 'Drawing the map'}</p>
        <Failure error={mapping.error.value} />
      </section>
    );
  }
  return <ShownMap index={index} map={map} ranking={ranking} />;
}

function ShownMap({ index, map, ranking }: { index: TextIndex; map: SentenceMap; ranking: Ranking | undefined }) {
  const row = pointed.value ?? selected.value;
  const shown = row !== undefined && row < map.rows ? row : undefined;
  const neighbours = useMemo(
    () => (shown === undefined ? [] : neighboursOfRow(index, shown)),
    [index, index.vectors, shown, map.rows],
  );
  const asked = query.value;
  const files = index.sources.length;
  const shades = useMemo<Shades>(
    () => ({
      owners: files > 1 ? index.passages.sources : undefined,
      scores: ranking?.scores,
      hits: ranking?.rows.slice(0, HITS) ?? [],
    }),
    [index, files, ranking],
  );
  const place = useMemo(
    () => ranking && asked && placeOfQuery(map, asked.vector, ranking.scores),
    [map, asked, ranking],
  );
  const marks: Marks = { query: place, row: shown, neighbours: neighbours.map(each => each.row) };
  const canUmap = map.rows >= FEWEST_FOR_UMAP;
  const isBusy = mapping.isBusy.value && mapStep.value !== 'Drawing the map';
  const progress = mapping.progress.value;
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
        {isBusy ? (
          <div class="work" role="status">
            <span>{mapStep.value}</span>
            {progress && <progress max={progress.total} value={progress.done} aria-label={mapStep.value} />}
            <button type="button" class="button button-small" onClick={() => mapping.stop()}>
              Stop
            </button>
          </div>
        ) : (
          <p class="note">{wordsOf(map)}</p>
        )}
      </div>
      <Failure error={mapping.error.value} />
      <MapCanvas index={index} map={map} shades={shades} marks={marks} />
      {files > 1 && <Legend index={index} />}
      <PointFacts index={index} row={shown} neighbours={neighbours} />
    </section>
  );
}

const wordsOf = ({ kind, plane, rows }: SentenceMap): string =>
  kind === 'pca'
    ? `${count(rows, 'passage')}; two directions, ${Math.round(100 * plane.explained)} % of the variance`
    : `${count(rows, 'passage')}; neighbours kept together, distances between groups mean little`;

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

interface PointFactsProps {
  index: TextIndex;
  row: number | undefined;
  neighbours: readonly { row: number; score: number }[];
}

/** The passage that is pointed at or chosen, and those that mean the most similar. */
function PointFacts({ index, row, neighbours }: PointFactsProps) {
  if (row === undefined) {
    return (
      <p class="note">Point at a passage, or go through them with the arrow keys, to read it and its neighbours.</p>
    );
  }
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
