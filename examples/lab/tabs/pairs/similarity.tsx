import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Examples } from '../../shell/examples.tsx';
import { count, milliseconds, twoDigits } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import {
  compare,
  EXAMPLES,
  linesOf,
  MOST_SENTENCES,
  type Similarities,
  setLine,
  setLines,
  similarities,
  slot,
  work,
} from './state.ts';

const WHY = 'Similarity takes a checkpoint that was trained to embed sentences.';
/** Of many pairs the nearest are listed. */
const MOST_PAIRS = 10;

/** A, B, C, ... */
const letter = (place: number): string => String.fromCharCode(65 + place);

export function Similarity() {
  const lines = linesOf(params.value);
  const model = slot.model;
  const filledCount = lines.filter(line => line.trim() !== '').length;
  useEffect(() => {
    similarities.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && filledCount >= 2) compare(model, lines);
    else work.clear();
  }, [model, lines.join('\n')]);
  useEffect(() => () => work.clear(), []);
  const shown = model && filledCount >= 2 ? similarities.value : undefined;
  const isOld = shown?.sentences.some(({ text, place }) => lines[place] !== text) ?? false;
  return (
    <>
      <ModelBar slot={slot} why={WHY} />
      <div class="form">
        <Sentences lines={lines} />
        <Examples examples={EXAMPLES} onPick={example => setLines(example.lines)} />
      </div>
      <WorkStatus work={work} label="Comparing" />
      {filledCount < 2 && <p class="note">Two sentences are needed to compare them.</p>}
      {shown && (
        <section class="answers" aria-label="Similarity" aria-busy={isOld}>
          {shown.sentences.length === 2 ? <OnePair shown={shown} /> : <ManyPairs shown={shown} />}
          <p class="note">
            The cosine of embeddings of {shown.columns} numbers, in {milliseconds(shown.elapsedMs)}: 1 is the same
            direction, 0 is none in common. What counts as near differs from model to model.
            {shown.isCut && ' A sentence is longer than the model takes: its end was not read.'}
          </p>
        </section>
      )}
    </>
  );
}

/** A field for each sentence; Enter makes another, and several lines that are pasted make several. */
function Sentences({ lines }: { lines: readonly string[] }) {
  const list = useRef<HTMLOListElement>(null);
  /** The field that is to have the focus once it is there. */
  const wanted = useRef<number>(undefined);
  // Before the next key: an effect after the next picture would leave some of what is typed in the field before.
  useLayoutEffect(() => {
    if (wanted.current === undefined) return;
    list.current?.querySelectorAll('input')[wanted.current]?.focus();
    wanted.current = undefined;
  });
  const isFull = lines.length >= MOST_SENTENCES;
  const addAfter = (place: number) => {
    if (isFull) return;
    wanted.current = place + 1;
    setLines(lines.toSpliced(place + 1, 0, ''));
  };
  return (
    <>
      <ol class="sentences" ref={list}>
        {lines.map((line, place) => (
          // Sentences have no names but their places.
          <li key={place}>
            <span class="sentence-letter" aria-hidden="true">
              {letter(place)}
            </span>
            <input
              class="field"
              type="text"
              aria-label={`Sentence ${letter(place)}`}
              value={line}
              autocomplete="off"
              spellcheck={false}
              onInput={event => setLine(place, event.currentTarget.value)}
              onKeyDown={event => {
                if (event.key !== 'Enter' || event.isComposing) return;
                event.preventDefault();
                addAfter(place);
              }}
              onPaste={event => {
                const pasted = event.clipboardData?.getData('text/plain').trim() ?? '';
                if (!pasted.includes('\n')) return;
                event.preventDefault();
                const parts = pasted.split(/\r?\n/).filter(part => part.trim() !== '');
                setLines(lines.toSpliced(place, 1, ...(line === '' ? parts : [line, ...parts])));
              }}
            />
            {lines.length > 2 && (
              <button
                type="button"
                class="icon-button"
                aria-label={`Remove sentence ${letter(place)}`}
                onClick={() => {
                  wanted.current = Math.min(place, lines.length - 2);
                  setLines(lines.toSpliced(place, 1));
                }}
              >
                <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
                  <path d="M2 2l8 8M10 2l-8 8" fill="none" stroke="currentColor" stroke-width="1.5" />
                </svg>
              </button>
            )}
          </li>
        ))}
      </ol>
      <div class="form-row">
        <button type="button" class="button" disabled={isFull} onClick={() => addAfter(lines.length - 1)}>
          Add a sentence
        </button>
        {isFull && <p class="note">{count(MOST_SENTENCES, 'sentence')} at most.</p>}
      </div>
    </>
  );
}

function OnePair({ shown: { cosines } }: { shown: Similarities }) {
  const cosine = cosines[0]![1]!;
  return (
    <div class="card pair">
      <span class="pair-number">{twoDigits(cosine)}</span>
      <div class="pair-scale" aria-hidden="true" style={{ '--share': Math.max(0, cosine) }}>
        <span>0</span>
        <i />
        <span>1</span>
      </div>
    </div>
  );
}

function ManyPairs({ shown: { sentences, cosines } }: { shown: Similarities }) {
  const pairs = sentences
    .flatMap((_, i) => sentences.slice(i + 1).map((_, k) => ({ i, j: i + 1 + k, cosine: cosines[i]![i + 1 + k]! })))
    .sort((a, b) => b.cosine - a.cosine)
    .slice(0, MOST_PAIRS);
  const name = (i: number) => letter(sentences[i]!.place);
  return (
    <div class="pairs">
      <div class="card">
        <h2>Every two</h2>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a matrix that is wider than the page is scrolled by keyboard too. */}
        <section class="matrix" tabIndex={0} aria-label="Matrix of cosines">
          <table>
            <thead>
              <tr>
                <td />
                {sentences.map(({ place, text }) => (
                  <th key={place} scope="col" title={text}>
                    {letter(place)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {sentences.map(({ place, text }, i) => (
                <tr key={place}>
                  <th scope="row" title={text}>
                    {letter(place)}
                  </th>
                  {cosines[i]!.map((cosine, j) => (
                    <td key={sentences[j]!.place} style={{ '--share': Math.max(0, cosine) }}>
                      {twoDigits(cosine)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </div>
      <div class="card">
        <h2>Nearest pairs</h2>
        <ScoreList
          label="Nearest pairs"
          scores={pairs.map(({ i, j, cosine }) => ({
            key: `${i} ${j}`,
            label: (
              <>
                <b class="pair-letters">
                  {name(i)} {name(j)}
                </b>{' '}
                {sentences[i]!.text} <span class="pair-and">·</span> {sentences[j]!.text}
              </>
            ),
            words: twoDigits(cosine),
            share: cosine,
          }))}
        />
      </div>
    </div>
  );
}
