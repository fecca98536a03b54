import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds, percent } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { LineField, NumberChoice, TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { segmentsOf } from './segments.ts';
import { ANSWER_EXAMPLES, type Answered, answer, answered, answerSlot, questionOf, TAB, work } from './state.ts';

const WHY = 'Answers are found by a checkpoint that was trained on questions to texts (SQuAD).';

/** A question, and the words of a text that answer it. */
export function Answers() {
  const asked = questionOf(params.value);
  const { question, context, count, mayBeNone } = asked;
  const model = answerSlot.model;
  const canAsk = question.trim() !== '' && context.trim() !== '';
  useEffect(() => {
    answered.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && canAsk) answer(model, asked);
    else work.clear();
  }, [model, question, context, count, mayBeNone]);
  const shown = model && canAsk ? answered.value : undefined;
  const isOld = shown?.question !== question || shown.context !== context;
  return (
    <>
      <ModelBar slot={answerSlot} why={WHY} />
      <div class="form">
        <LineField label="Question" value={question} onInput={value => setParams(TAB, { question: value })} />
        <TextField label="Text" rows={4} value={context} onInput={value => setParams(TAB, { context: value })} />
        <div class="form-row">
          <NumberChoice
            label="Answers"
            value={count}
            choices={[1, 3, 5, 10]}
            onChange={value => setParams(TAB, { top: value === 3 ? undefined : String(value) })}
          />
          <label class="check">
            <input
              type="checkbox"
              checked={mayBeNone}
              onChange={event => setParams(TAB, { none: event.currentTarget.checked ? '1' : undefined })}
            />
            The text may have no answer
          </label>
        </div>
        <Examples
          examples={ANSWER_EXAMPLES}
          onPick={example => setParams(TAB, { question: example.question, context: example.context })}
        />
      </div>
      <WorkStatus work={work} label="Reading the text" />
      {!canAsk && <p class="note">A question is needed, and a text to look in.</p>}
      <AnswerPlace label="Answers" isReady={model !== undefined} isOld={isOld}>
        {shown && <InContext shown={shown} />}
      </AnswerPlace>
    </>
  );
}

/** The text with its answers, the surest one strong; and all of them with their scores. */
function InContext({ shown: { context, answers, elapsedMs } }: { shown: Answered }) {
  const pointed = useSignal<number | undefined>(undefined);
  useEffect(() => {
    pointed.value = undefined;
  }, [answers]);
  const strong = pointed.value ?? 0;
  // The strong one lies on top of the others.
  const order = answers.map((_, place) => place).filter(place => answers[place]!.answer !== '');
  order.sort((a, b) => Number(b === strong) - Number(a === strong) || a - b);
  const spans = order.map(place => answers[place]!);
  const most = answers[0]?.score || 1;
  return (
    <>
      <div class="answer-view">
        <p class="reading card">
          {segmentsOf(context, spans).map(({ text, span }, i) => {
            if (span === undefined) return text;
            const place = order[span]!;
            return (
              // The pieces of a text have no names but their places.
              <mark key={i} class={place === strong ? 'found is-strong' : 'found'} data-place={place}>
                {text}
              </mark>
            );
          })}
        </p>
        <div class="card">
          <h2>{answers.length === 1 ? 'Answer' : 'Answers'}</h2>
          <ScoreList
            label="Answers"
            verb="Show"
            scores={answers.map(({ answer: words, score, start }, place) => ({
              key: `${start} ${words}`,
              label: words === '' ? <em>No answer in this text</em> : words,
              words: percent(score),
              share: score / most,
              isStrong: place === strong,
            }))}
            onPick={place => {
              pointed.value = place;
              document
                .querySelector(`.found[data-place="${place}"]`)
                ?.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
            }}
          />
        </div>
      </div>
      <p class="note">
        Found in {milliseconds(elapsedMs)}; a long text is read in windows, so that none of it is left out. Bars are
        relative to the surest.
      </p>
    </>
  );
}
