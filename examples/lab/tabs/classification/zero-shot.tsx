import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { LabelList } from '../../shell/score-list.tsx';
import { LineField, TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import {
  judge,
  labelsOf,
  TAB,
  USUAL_TEMPLATE,
  work,
  ZERO_EXAMPLES,
  type ZeroShotQuestion,
  zeroShot,
  zeroSlot,
} from './state.ts';

const WHY = 'Labels of your own are judged by a checkpoint for natural language inference (NLI).';

/** Labels that the person types; each becomes a sentence that the model judges. */
export function ZeroShot() {
  const address = params.value;
  const text = address.get('text') ?? ZERO_EXAMPLES[0]!.text;
  const typed = address.get('labels') ?? ZERO_EXAMPLES[0]!.labels;
  const template = address.get('template') ?? USUAL_TEMPLATE;
  const entailment = address.get('entailment') ?? '';
  const question: ZeroShotQuestion = {
    text,
    labels: labelsOf(typed),
    isMulti: address.has('multi'),
    template,
    entailment,
  };
  const asked = JSON.stringify(question);
  const model = zeroSlot.model;
  const names = Object.values((model?.model.config.id2label ?? {}) as Record<string, string>);
  const isUnnamed = names.length > 0 && !names.some(name => /^entail/i.test(name));
  const hasPlace = template.includes('{}');
  const canAsk =
    text.trim() !== '' && question.labels.length > 0 && hasPlace && (!isUnnamed || names.includes(entailment));
  useEffect(() => {
    zeroShot.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && canAsk) judge(model, question);
    else work.clear();
  }, [model, asked]);
  const shown = model && canAsk ? zeroShot.value : undefined;
  return (
    <>
      <ModelBar slot={zeroSlot} why={WHY} />
      <div class="form">
        <TextField label="Text" value={text} onInput={value => setParams(TAB, { text: value })} />
        <div class="form-pair">
          <LineField
            label="Your labels, with commas between"
            value={typed}
            onInput={value => setParams(TAB, { labels: value })}
          />
          <LineField
            label="The sentence that is judged; a label goes where {} stands"
            value={template}
            isInvalid={!hasPlace}
            onInput={value => setParams(TAB, { template: value === USUAL_TEMPLATE ? undefined : value })}
          />
        </div>
        <div class="form-row">
          <label class="check">
            <input
              type="checkbox"
              checked={question.isMulti}
              onChange={event => setParams(TAB, { multi: event.currentTarget.checked ? '1' : undefined })}
            />
            Several labels may hold at once
          </label>
          {isUnnamed && (
            <label class="field-label field-narrow">
              The checkpoint’s label for “it follows”
              <select
                class="field"
                value={entailment}
                onChange={event => setParams(TAB, { entailment: event.currentTarget.value || undefined })}
              >
                <option value="">choose</option>
                {names.map(name => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
          )}
        </div>
        <Examples
          examples={ZERO_EXAMPLES}
          onPick={example =>
            setParams(TAB, {
              text: example.text,
              labels: example.labels,
              multi: example.isMulti ? '1' : undefined,
              template: example.template,
            })
          }
        />
      </div>
      <WorkStatus work={work} label="Judging the labels" />
      <Hint question={question} hasPlace={hasPlace} isUnnamed={isUnnamed && !names.includes(entailment)} />
      <AnswerPlace label="Your labels" isReady={model !== undefined} isOld={shown?.asked !== asked}>
        {shown && (
          <>
            <div class="card card-narrow">
              <LabelList label="Your labels" answer={shown.answer} />
            </div>
            <p class="note">
              Judged in {milliseconds(shown.elapsedMs)}.{' '}
              {question.isMulti ? 'Each label is judged alone.' : 'The labels share one whole.'}
              {shown.isCut && ' The text is longer than the model takes: its end was not read.'}
            </p>
          </>
        )}
      </AnswerPlace>
    </>
  );
}

/** What is missing for an answer, if anything. */
function Hint({
  question,
  hasPlace,
  isUnnamed,
}: {
  question: ZeroShotQuestion;
  hasPlace: boolean;
  isUnnamed: boolean;
}) {
  if (question.text.trim() === '') return <p class="note">Nothing is written yet.</p>;
  if (question.labels.length === 0) return <p class="note">A label is needed, or several with commas between.</p>;
  if (!hasPlace) return <p class="note">The sentence needs {'{}'} where a label goes.</p>;
  if (isUnnamed) {
    return (
      <p class="note">
        This checkpoint’s labels do not say which of them means that a sentence follows from the text. Its model card
        does: choose it above.
      </p>
    );
  }
  return null;
}
