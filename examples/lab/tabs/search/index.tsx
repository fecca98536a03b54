import { useEffect, useLayoutEffect } from 'preact/hooks';
import { dropTarget } from '../../shell/drop.ts';
import { Failure } from '../../shell/failure.tsx';
import { count, milliseconds } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { supported } from '../../shell/support.ts';
import { WorkLine, WorkStatus } from '../../shell/work-status.tsx';
import { readFiles } from './files.ts';
import { MapPanel } from './map/map-panel.tsx';
import { type Ranking, rank, ranking } from './ranking.ts';
import { Results } from './results.tsx';
import { SAMPLE_QUERIES } from './sample.ts';
import {
  create,
  current,
  embed,
  embedded,
  embedding,
  embedSpeed,
  followIndex,
  idOf,
  importing,
  isStopped,
  notice,
  notKept,
  query,
  queryOf,
  SAMPLE_ID,
  search,
  searching,
  setQuery,
  slot,
  stopEmbedding,
  TAB,
  viewOf,
} from './state.ts';
import { countOf } from './text-index.ts';
import { TextsBar } from './texts-bar.tsx';
import './search.css';

export default function SearchTab() {
  const address = params.value;
  const asked = queryOf(address);
  const id = idOf(address);
  const model = slot.model;
  const index = current.value;
  const rows = embedded.value;
  useEffect(followIndex, [id]);
  useEffect(() => {
    dropTarget.value = { ...dropTarget.peek(), onFiles: files => create(() => readFiles(files, 'sentences')) };
    return () => {
      searching.clear();
      embedding.clear();
      // Texts that are being read are read to their end; what was wrong with others is no news when one comes back.
      importing.error.value = undefined;
    };
  }, []);
  const space = model?.space;
  const isOther = space !== undefined && index?.vectors !== undefined && index.vectors.space !== space;
  const isMissing = index !== undefined && rows < countOf(index);
  useEffect(() => {
    if (model && index && isMissing && !isOther && !isStopped.peek()) embed(model, index);
    return () => embedding.stop();
  }, [model, index]);
  useEffect(() => {
    if (model) search(model, asked);
    else searching.clear();
  }, [model, asked]);
  const isAsked = asked.trim() !== '';
  const found = query.value;
  // Before the browser paints: a short text is never seen in the order of another query.
  useLayoutEffect(() => {
    void rank(isAsked ? index?.vectors : undefined, found);
  }, [isAsked, index?.vectors, found, rows]);
  const ranked = ranking.value;
  const shown = isAsked && ranked && ranked.vectors === index?.vectors ? ranked : undefined;
  return (
    <>
      <div class="search-bars">
        <ModelBar slot={slot} />
        <TextsBar />
      </div>
      <QueryField asked={asked} isSample={id === SAMPLE_ID} />
      <div class="search-status">
        {isOther && model && <OtherModel />}
        <p class="note" role="status">
          <StatusWords ranking={shown} isOther={isOther} />
        </p>
        <Embedding isOther={isOther} />
        <Failure error={searching.error.value} />
        <WorkStatus work={importing} label="Reading the texts" />
        {notice.value && <p class="note">{notice.value}</p>}
        {notKept.value !== undefined && (
          <p class="note">
            This browser keeps no index now, so it is gone when the page is closed ({String(notKept.value)}).
          </p>
        )}
      </div>
      {index && (
        <div class="search-body" data-view={viewOf(address)}>
          <ViewSwitch view={viewOf(address)} />
          <Results index={index} ranking={shown} />
          <MapPanel index={index} ranking={shown} />
        </div>
      )}
    </>
  );
}

/** On a narrow page: the list or the map. */
function ViewSwitch({ view }: { view: 'list' | 'map' }) {
  return (
    <fieldset class="search-views" aria-label="View">
      <button
        type="button"
        class="button button-small"
        aria-pressed={view === 'list'}
        onClick={() => setParams(TAB, { view: undefined })}
      >
        Passages
      </button>
      <button
        type="button"
        class="button button-small"
        aria-pressed={view === 'map'}
        onClick={() => setParams(TAB, { view: 'map' })}
      >
        Map
      </button>
    </fieldset>
  );
}

function QueryField({ asked, isSample }: { asked: string; isSample: boolean }) {
  return (
    <div class="search-query">
      <label class="field-label">
        Search by meaning
        <input
          class="field search-field"
          type="search"
          value={asked}
          placeholder="A question, or a few words"
          autocomplete="off"
          enterkeyhint="search"
          onInput={event => setQuery(event.currentTarget.value)}
        />
      </label>
      {isSample && (
        <fieldset class="search-examples" aria-label="Examples">
          {SAMPLE_QUERIES.map(text => (
            <button
              key={text}
              type="button"
              class="button button-small"
              aria-pressed={text === asked}
              onClick={() => setQuery(text)}
            >
              {text}
            </button>
          ))}
        </fieldset>
      )}
    </div>
  );
}

function StatusWords({ ranking, isOther }: { ranking: Ranking | undefined; isOther: boolean }) {
  const index = current.value;
  if (!index) return 'Looking for the texts';
  const total = countOf(index);
  const passages = count(total, 'passage');
  if (isOther || !ranking) {
    if (supported.value?.ok === false) return passages;
    if (!slot.model) return `${passages}; they can be searched as soon as the model is there`;
    return embedded.value < total || isOther ? passages : `${passages} to search`;
  }
  const speed = embedSpeed.value;
  const of = embedded.value < total ? `${embedded.value.toLocaleString('en')} of ${passages}` : passages;
  const ms = ranking.query.elapsedMs + ranking.elapsedMs;
  const rate = speed && Math.round((speed.tokens / speed.elapsedMs) * 1000).toLocaleString('en');
  return `${of} ranked in ${milliseconds(ms)}${rate ? `; embedded at ${rate} tokens per second` : ''}`;
}

/** How far the embedding is, and its stop; afterwards the way to go on. Over vectors of another model there is none: that is to begin anew. */
function Embedding({ isOther }: { isOther: boolean }) {
  const index = current.value;
  const model = slot.model;
  const progress = embedding.progress.value;
  const rows = embedded.value;
  if (!index || !model) return null;
  const total = countOf(index);
  const isHalted = isStopped.value && !isOther && rows < total;
  const goOn = () => embed(model, index);
  return (
    <>
      {(isHalted || (embedding.isBusy.value && progress)) && (
        <WorkLine
          words={
            isHalted
              ? `Stopped: ${rows.toLocaleString('en')} of ${count(total, 'passage')} can be searched`
              : 'Embedding'
          }
          progress={progress}
          isStopped={isHalted}
          onStop={stopEmbedding}
          onGoOn={goOn}
        />
      )}
      <Failure error={embedding.error.value} onRetry={goOn} />
    </>
  );
}

/** The vectors are of another model than the one that is loaded: they are not compared, and made anew only on a yes. */
function OtherModel() {
  const index = current.value!;
  const { model: made, dims } = index.vectors!;
  const extractor = slot.model!;
  const { id } = made;
  if (embedding.isBusy.value) return null;
  return (
    <div class="panel">
      <p>
        The vectors of <strong>{index.name}</strong> were made by {made.name} ({made.dtype}, {dims} numbers each). Those
        of the model that is loaded lie in another space, and the two cannot be compared.
      </p>
      <div class="search-choices">
        <button type="button" class="button button-strong" onClick={() => embed(extractor, index)}>
          Embed its {count(countOf(index), 'passage')} again
        </button>
        {id && (
          <button type="button" class="button" onClick={() => slot.choose({ id }, made.dtype)}>
            Back to {made.name}
          </button>
        )}
      </div>
    </div>
  );
}
