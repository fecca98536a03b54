import { useEffect, useRef } from 'preact/hooks';
import { type LogEntry, loss_chart } from 'webgpu-bert/train';
import { count, megabytes, milliseconds, percent } from '../../shell/format.ts';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { LineField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { download, folderPicker, writeTo } from './files.ts';
import { answer, save, saved, saving, TAB, type Training, trial, trying, tryOut, version, work } from './state.ts';

/** What has come of a training, while it goes on and afterwards. */
export function Results({ training }: { training: Training }) {
  const { done, guesses } = training;
  return (
    <section class="training-results" aria-label="What was learned">
      <div class="training-column">
        <section class="card" aria-label="Loss">
          <h2>Loss, step by step</h2>
          <LossChart history={training.history} />
          <p class="note">
            How far the model is from the labels, the lower the nearer: with the lines that it learns from, and after
            each round with those that were held out.
          </p>
        </section>
        {guesses.length > 0 && <HeldOut training={training} />}
      </div>
      {done > 0 && (
        <div class="training-column">
          <TryIt training={training} />
          <Save training={training} />
        </div>
      )}
    </section>
  );
}

/** The sentence that says how a training stands, or how it ended. */
export function outcomeOf({ done, total, elapsedMs, guesses }: Training): string {
  const right = guesses.filter(({ example, label }) => example.label === label).length;
  const held =
    guesses.length > 0
      ? ` ${right} of ${count(guesses.length, 'line')} held out ${right === 1 ? 'is' : 'are'} named right.`
      : '';
  if (done === total) return `Learned in ${count(total, 'step')}, ${milliseconds(elapsedMs)}.${held}`;
  return `Stopped after ${done} of ${count(total, 'step')}: the classifier is as it was then.${held}`;
}

function LossChart({ history }: { history: readonly LogEntry[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { current } = place;
    if (!current) return;
    // Below this the names of both curves have no room beside each other: the drawing is made smaller as a whole.
    const width = Math.max(380, Math.min(640, current.clientWidth));
    current.innerHTML = loss_chart(history, { width, height: Math.round(Math.max(width / 2.2, 230)) });
  }, [history]);
  return <div class="training-chart" ref={place} />;
}

/** How the lines that were held out are named. */
function HeldOut({ training: { guesses } }: { training: Training }) {
  const wrong = guesses.filter(({ example, label }) => example.label !== label);
  const right = guesses.length - wrong.length;
  return (
    <section class="card" aria-label="Held out">
      <h2>Lines it has not learned from</h2>
      <p class="training-accuracy">
        <strong>{percent(right / guesses.length)}</strong> {right} of {guesses.length} named right
      </p>
      {wrong.length > 0 && (
        <ul class="training-wrong">
          {wrong.slice(0, 8).map(({ example, label }) => (
            <li key={example.line}>
              <span>{example.text}</span>
              <span class="note">
                {example.label}, taken for {label}
              </span>
            </li>
          ))}
        </ul>
      )}
      {wrong.length > 8 && <p class="note">And {wrong.length - 8} more.</p>}
    </section>
  );
}

/** A text of the person's, by the labels, as one types. */
function TryIt({ training: { base } }: { training: Training }) {
  const text = params.value.get('text') ?? trial.value;
  const learned = version.value;
  const hasText = text.trim() !== '';
  useEffect(() => {
    if (hasText) tryOut(base, text);
    else trying.clear();
  }, [base, text, learned]);
  const shown = hasText ? answer.value : undefined;
  return (
    <section class="card" aria-label="Try it">
      <h2>Try it</h2>
      <LineField
        label="A text"
        placeholder="Write one that it does not know"
        value={text}
        onInput={value => setParams(TAB, { text: value })}
      />
      <WorkStatus work={trying} label="Reading the text" />
      {shown && (
        <div class="answers" aria-busy={shown.text !== text}>
          <ScoreList
            label="Your labels"
            scores={shown.scores.map(({ label, score }, place) => ({
              key: label,
              label,
              words: percent(score),
              share: score,
              isStrong: place === 0,
            }))}
          />
        </div>
      )}
    </section>
  );
}

function Save({ training: { base } }: { training: Training }) {
  const isBusy = work.isBusy.value || saving.isBusy.value;
  const files = saved.value?.version === version.value ? saved.value.files : [];
  const pickFolder = folderPicker();
  const intoFolder = async () => {
    // A person who closes the picker has changed their mind.
    const folder = await pickFolder!({ mode: 'readwrite' }).catch(() => undefined);
    if (folder) save(base, list => writeTo(folder, list));
  };
  return (
    <section class="card" aria-label="Save">
      <h2>Save</h2>
      <div class="panel-actions">
        <button type="button" class="button button-strong" disabled={isBusy} onClick={() => save(base, download)}>
          Download the files
        </button>
        {pickFolder && (
          <button type="button" class="button" disabled={isBusy} onClick={() => void intoFolder()}>
            Into a folder
          </button>
        )}
      </div>
      <WorkStatus work={saving} label="Reading the weights back" />
      {files.length > 0 && (
        <ul class="training-files" aria-label="Files">
          {files.map(file => (
            <li key={file.name}>
              <span>{file.name}</span> <span class="number">{megabytes(file.size)}</span>
            </li>
          ))}
        </ul>
      )}
      <p class="note">
        In a folder, transformers of Python reads them, and every tab of this page: drop it on “Classification”.
      </p>
    </section>
  );
}
