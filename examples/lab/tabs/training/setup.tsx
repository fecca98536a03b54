import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Failure } from '../../shell/failure.tsx';
import { count, megabytes } from '../../shell/format.ts';
import type { Loaded } from '../../shell/model-kind.ts';
import { WorkStatus } from '../../shell/work-status.tsx';
import type { Course, Plan, Training } from './course.ts';
import type { Learner } from './learner.ts';
import type { Recipe } from './recipe.ts';
import { TrainingSettings } from './settings.tsx';

interface SetupProps<B extends Learner<Loaded>, P extends Plan<unknown>, F> {
  readonly course: Course<B, P, F>;
  readonly plan: P;
  /** What the plan is made of, besides its settings. */
  readonly source: unknown;
  /** Why nothing can be learned. */
  readonly reason: string | undefined;
  readonly recipe: Recipe;
  /** What a line holds: "line", "pair". */
  readonly noun: string;
  readonly editor: ComponentChildren;
  /** What is made of the lines. */
  readonly summary: ComponentChildren;
  /** What is done before the first step. */
  readonly preparing: string;
  /** The sentence that says how a training has ended. */
  outcomeOf(training: Training<B, P, F>): string;
}

/** All before the results: the lines and what is read of them, what is to learn, the start, and how it goes on and ends. */
export function Setup<B extends Learner<Loaded>, P extends Plan<unknown>, F>(props: SetupProps<B, P, F>) {
  const { course, plan, source, reason } = props;
  const { slot, work, estimating } = course;
  const { settings } = plan;
  const { model } = slot;
  const now = course.training.value;
  const isBusy = work.isBusy.value;
  useEffect(() => {
    // What another model has learned is in its weights: they go with it.
    const present = course.training.peek();
    if (model && present && present.base !== model) course.letGo();
  }, [model]);
  const { part, batch, held } = settings;
  useEffect(() => {
    if (model && !isBusy) course.estimateMemory(model, plan);
    return () => estimating.clear();
  }, [model, source, part, batch, held, isBusy]);
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
      <div class="training-setup">
        {props.editor}
        <div class="training-column">
          {props.summary}
          <TrainingSettings settings={settings} recipe={props.recipe} noun={props.noun} />
          <div class="training-start" ref={start}>
            <button
              type="button"
              class="button button-strong"
              disabled={!model || !choice || reason !== undefined}
              // It keeps the focus while it is busy.
              aria-disabled={isBusy}
              onClick={() => isBusy || course.train(model!, plan, choice!)}
            >
              {now ? 'Train anew' : 'Train'}
            </button>
            <PlanWords plan={plan} noun={props.noun} bytes={course.estimate.value} />
          </div>
          <Failure error={estimating.error.value} />
          <WorkStatus work={work} label={now ? progressWords(now, props.preparing) : 'Learning'} />
        </div>
      </div>
      {now && now.done > 0 && !isBusy && work.error.value === undefined && (
        <p class="training-outcome" role="status">
          {props.outcomeOf(now)}
        </p>
      )}
    </>
  );
}

type Progress = Pick<Training<unknown, Plan<unknown>, unknown>, 'isPrepared' | 'done' | 'plan' | 'msPerStep'>;

const progressWords = ({ isPrepared, done, plan, msPerStep }: Progress, preparing: string): string => {
  if (!isPrepared) return preparing;
  if (msPerStep === undefined) return 'Learning';
  return `Learning, about ${roughly((plan.total - done) * msPerStep)} left`;
};

const roughly = (ms: number): string => (ms < 100_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`);

interface PlanWordsProps {
  readonly plan: Plan<unknown>;
  readonly noun: string;
  readonly bytes: number | undefined;
}

function PlanWords({ plan: { train, held, total }, noun, bytes }: PlanWordsProps) {
  if (train.length === 0) return null;
  const words = [
    `${count(train.length, noun)} to learn from${held.length > 0 ? `, ${held.length} held out` : ''}`,
    count(total, 'step'),
    ...(bytes === undefined ? [] : [`about ${megabytes(bytes)} on the GPU`]),
  ];
  return <p class="note">{words.join(' · ')}</p>;
}
