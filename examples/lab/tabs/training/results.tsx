import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { type LogEntry, loss_chart } from 'webgpu-bert/train';
import { count, megabytes, milliseconds } from '../../shell/format.ts';
import { shortNameOf } from '../../shell/model-choice.ts';
import type { Loaded } from '../../shell/model-kind.ts';
import { setParams } from '../../shell/route.ts';
import { LineField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import type { Course, Plan, Training } from './course.ts';
import { download, folderPicker, writeTo } from './files.ts';
import type { Learner } from './learner.ts';
import { TAB } from './recipe.ts';
import type { Trial } from './trial.ts';

/** What every training has to show: its end in a sentence, its loss, and its files. */

/** @param name what is learned: "classifier" */
export function endOf({ plan, done, elapsedMs }: Training<unknown, Plan<unknown>, unknown>, name: string): string {
  const { total } = plan;
  if (done === total) return `Learned in ${count(total, 'step')}, ${milliseconds(elapsedMs)}.`;
  return `Stopped after ${done} of ${count(total, 'step')}: the ${name} is as it was then.`;
}

interface LossProps {
  readonly history: readonly LogEntry[];
  /** The width of the drawing by its height. */
  readonly ratio?: number;
  /** What the loss means. */
  readonly children: ComponentChildren;
}

export function Loss({ history, ratio = 2.2, children }: LossProps) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { current } = place;
    if (!current) return;
    // Below this the names of both curves have no room beside each other: the drawing is made smaller as a whole.
    const width = Math.max(380, Math.min(640, current.clientWidth));
    current.innerHTML = loss_chart(history, { width, height: Math.round(Math.max(width / ratio, 230)) });
  }, [history, ratio]);
  return (
    <section class="card" aria-label="Loss">
      <h2>Loss, step by step</h2>
      <div class="training-chart" ref={place} />
      <p class="note">{children}</p>
    </section>
  );
}

interface TrialCardProps {
  readonly trial: Trial<{ readonly text: string }>;
  /** What the model does when it is asked. */
  readonly doing: string;
  readonly label: string;
  readonly placeholder: string;
  /** Of the text, in the address. */
  readonly name: string;
  readonly value: string;
  /** Whether the text is asked only when the training has ended. */
  readonly isLater?: boolean;
  /** The answer; undefined where there is none. */
  readonly children: ComponentChildren;
}

/** A text of the person's, and what the model says of it as one types. */
export function TrialCard({ trial, doing, name, isLater = false, children, ...field }: TrialCardProps) {
  const { value } = field;
  return (
    <section class="card" aria-label="Try it">
      <h2>Try it</h2>
      <LineField {...field} onInput={text => setParams(TAB, { [name]: text })} />
      {isLater && <p class="note">It is asked when the training has ended, or is stopped.</p>}
      <WorkStatus work={trial.work} label={doing} />
      {children && (
        <div class="answers" aria-busy={isLater || trial.answer.value?.text !== value}>
          {children}
        </div>
      )}
    </section>
  );
}

interface SaveProps<B extends Learner<Loaded>, P extends Plan<unknown>, F> {
  readonly course: Course<B, P, F>;
  readonly training: Training<B, P, F>;
  /** Who reads the files. */
  readonly children: ComponentChildren;
}

export function Save<B extends Learner<Loaded>, P extends Plan<unknown>, F>(props: SaveProps<B, P, F>) {
  const { course, training } = props;
  const { work, saving, saved, version } = course;
  const { base, choice } = training;
  const isBusy = work.isBusy.value || saving.isBusy.value;
  const files = saved.value?.version === version.value ? saved.value.files : [];
  const pickFolder = folderPicker();
  const intoFolder = async () => {
    // A person who closes the picker has changed their mind.
    const folder = await pickFolder!({ mode: 'readwrite' }).catch(() => undefined);
    if (folder) course.save(base, list => writeTo(folder, list));
  };
  return (
    <section class="card" aria-label="Save">
      <h2>Save</h2>
      <div class="panel-actions">
        <button
          type="button"
          class="button button-strong"
          aria-disabled={isBusy}
          onClick={() => isBusy || course.save(base, list => download(list, `${shortNameOf(choice)}-trained`))}
        >
          Download the files
        </button>
        {pickFolder && (
          <button type="button" class="button" aria-disabled={isBusy} onClick={() => isBusy || void intoFolder()}>
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
      <p class="note">{props.children}</p>
    </section>
  );
}
