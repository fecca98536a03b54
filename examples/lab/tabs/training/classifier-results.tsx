import { useEffect } from 'preact/hooks';
import { count, percent } from '../../shell/format.ts';
import { params } from '../../shell/route.ts';
import { LabelList } from '../../shell/score-list.tsx';
import { type ClassTraining, course, type Guess, trial, trialText, tryOut } from './classifier-state.ts';
import { endOf, Loss, Save, TrialCard } from './results.tsx';

/** What has come of a training, while it goes on and afterwards. */
export function ClassifierResults({ training }: { training: ClassTraining }) {
  const { done, findings: guesses = [] } = training;
  return (
    <section class="training-results" aria-label="What was learned">
      <div class="training-column">
        <Loss history={training.history}>
          How far the model is from the labels, the lower the nearer: with the lines that it learns from, and after each
          round with those that were held out.
        </Loss>
        {guesses.length > 0 && <HeldOut guesses={guesses} />}
      </div>
      {done > 0 && (
        <div class="training-column">
          <TryIt training={training} />
          <Save course={course} training={training}>
            In a folder, transformers of Python reads them, and every tab of this page: drop it on “Classification”.
          </Save>
        </div>
      )}
    </section>
  );
}

const isRight = ({ example, label }: Guess): boolean => example.label === label;

/** The sentence that says how a training has ended. */
export function outcomeOf(training: ClassTraining): string {
  const { findings: guesses = [] } = training;
  const right = guesses.filter(isRight).length;
  const held =
    guesses.length > 0
      ? ` ${right} of ${count(guesses.length, 'line')} held out ${right === 1 ? 'is' : 'are'} named right.`
      : '';
  return `${endOf(training, 'classifier')}${held}`;
}

/** How the lines that were held out are named. */
function HeldOut({ guesses }: { guesses: readonly Guess[] }) {
  const wrong = guesses.filter(guess => !isRight(guess));
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
function TryIt({ training: { base } }: { training: ClassTraining }) {
  const text = params.value.get('text') ?? trialText.value;
  const learned = course.version.value;
  const hasText = text.trim() !== '';
  useEffect(() => {
    if (hasText) tryOut(base, text);
    else trial.work.clear();
  }, [base, text, learned]);
  const shown = hasText ? trial.answer.value : undefined;
  return (
    <TrialCard
      trial={trial}
      doing="Reading the text"
      label="A text"
      placeholder="Write one that it does not know"
      name="text"
      value={text}
    >
      {shown && <LabelList label="Your labels" answer={shown.scores} />}
    </TrialCard>
  );
}
