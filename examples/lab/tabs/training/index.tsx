import { useEffect, useRef } from 'preact/hooks';
import { dropTarget } from '../../shell/drop.ts';
import { Examples } from '../../shell/examples.tsx';
import { Failure } from '../../shell/failure.tsx';
import { count, megabytes } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { CLASS_EXAMPLES } from './examples.ts';
import { ACCEPT, readTexts } from './files.ts';
import { type LabelledLines, linesOfFile, whyNot } from './lines.ts';
import { FaultList, LinesField, useSettledFaults } from './lines-field.tsx';
import { outcomeOf, Results } from './results.tsx';
import { TrainingSettings } from './settings.tsx';
import {
  estimate,
  estimateMemory,
  estimating,
  letGo,
  lines,
  type Plan,
  planOf,
  read,
  reading,
  settingsOf,
  slot,
  TAB,
  type Training,
  train,
  training,
  work,
} from './state.ts';
import './training.css';

const WHY = 'A model that has read much already learns from few lines.';

export default function TrainingTab() {
  const settings = settingsOf(params.value);
  const labelled = read.value;
  const plan = planOf(settings);
  const reason = whyNot(labelled);
  const model = slot.model;
  const now = training.value;
  const isBusy = work.isBusy.value;
  useEffect(() => {
    // What an other model has learned is in its weights: they go with it.
    if (model && training.peek() && training.peek()!.base !== model) letGo();
  }, [model]);
  const { part, batch, held } = settings;
  useEffect(() => {
    if (model && !isBusy) estimateMemory(model, plan);
    return () => estimating.clear();
  }, [model, labelled, part, batch, held, isBusy]);
  const start = useRef<HTMLDivElement>(null);
  const shownId = useRef(now?.id);
  useEffect(() => {
    // What is begun is to be seen: on a small screen it stands below everything that was set up.
    if (now && now.id !== shownId.current) start.current?.scrollIntoView({ block: 'center' });
    shownId.current = now?.id;
  }, [now?.id]);
  const choice = slot.choice.value;
  return (
    <>
      <ModelBar slot={slot} why={WHY} />
      <div class="training-setup">
        <LinesEditor labelled={labelled} />
        <div class="training-column">
          <ClassCounts labelled={labelled} reason={reason} />
          <TrainingSettings settings={settings} />
          <div class="training-start" ref={start}>
            <button
              type="button"
              class="button button-strong"
              disabled={!model || !choice || reason !== undefined || isBusy}
              onClick={() => train(model!, plan, choice!)}
            >
              {now ? 'Train anew' : 'Train'}
            </button>
            <PlanWords plan={plan} />
          </div>
          <Failure error={estimating.error.value} />
          <WorkStatus work={work} label={now ? progressWords(now) : 'Learning'} />
        </div>
      </div>
      {now && now.done > 0 && !isBusy && work.error.value === undefined && (
        <p class="training-outcome" role="status">
          {outcomeOf(now)}
        </p>
      )}
      {now && <Results training={now} />}
    </>
  );
}

const progressWords = ({ isPrepared, done, total, msPerStep }: Training): string => {
  if (!isPrepared) return 'Making the head';
  if (msPerStep === undefined) return 'Learning';
  return `Learning, about ${roughly((total - done) * msPerStep)} left`;
};

const roughly = (ms: number): string => (ms < 100_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`);

function PlanWords({ plan: { train, held, total } }: { plan: Plan }) {
  if (train.length === 0) return null;
  const bytes = estimate.value;
  const words = [
    `${count(train.length, 'line')} to learn from${held.length > 0 ? `, ${held.length} held out` : ''}`,
    count(total, 'step'),
    ...(bytes === undefined ? [] : [`about ${megabytes(bytes)} on the GPU`]),
  ];
  return <p class="note">{words.join(' · ')}</p>;
}

function ClassCounts({ labelled: { classes }, reason }: { labelled: LabelledLines; reason: string | undefined }) {
  const most = Math.max(...classes.map(each => each.count));
  return (
    <section class="card" aria-label="Classes">
      <h2>Classes</h2>
      {classes.length > 0 && (
        <ScoreList
          label="Lines of each class"
          scores={classes.map(({ label, count: lineCount }) => ({
            key: label,
            label,
            words: count(lineCount, 'line'),
            share: lineCount / most,
          }))}
        />
      )}
      {reason && <p class="training-reason">{reason}</p>}
    </section>
  );
}

function LinesEditor({ labelled }: { labelled: LabelledLines }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const faults = useSettledFaults(labelled.faults);
  const take = (files: readonly File[]) => {
    reading.run(async () => lines.replace(await readTexts(files, linesOfFile)));
  };
  useEffect(() => {
    dropTarget.value = { ...dropTarget.peek(), onFiles: take };
    return () => reading.clear();
  }, []);
  return (
    <div class="training-column">
      <LinesField
        label="Your lines: a label, a comma or a tab, and a text"
        value={lines.text.value}
        faults={faults}
        field={field}
        onInput={text => lines.write(text)}
      />
      <div class="training-sources">
        <Examples
          examples={CLASS_EXAMPLES}
          onPick={example => {
            lines.replace(example.lines);
            setParams(TAB, { text: undefined });
          }}
        />
        <label class="file-button button button-small">
          A file
          <input
            type="file"
            class="visually-hidden"
            multiple
            accept={ACCEPT}
            onChange={event => {
              const files = [...(event.currentTarget.files ?? [])];
              if (files.length > 0) take(files);
              // The same file may be chosen once more.
              event.currentTarget.value = '';
            }}
          />
        </label>
        {lines.before.value !== undefined && (
          <button type="button" class="button button-small" onClick={() => lines.bringBack()}>
            Back to my lines
          </button>
        )}
      </div>
      <Failure error={reading.error.value} />
      <FaultList faults={faults} field={field} />
    </div>
  );
}
