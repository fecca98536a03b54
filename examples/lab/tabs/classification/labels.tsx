import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { LabelList } from '../../shell/score-list.tsx';
import { TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { classify, LABEL_EXAMPLES, labelled, labelsAsked, slot, TAB, work } from './state.ts';

const WHY = 'A text is sorted by the labels that a checkpoint was trained for.';

/** The labels that the checkpoint was trained for. */
export function Labels() {
  const address = params.value;
  const text = address.get('text') ?? LABEL_EXAMPLES[0]!.text;
  const pair = address.get('pair') ?? '';
  const model = slot.model;
  const hasText = text.trim() !== '';
  useEffect(() => {
    labelled.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && hasText) classify(model, text, pair);
    else work.clear();
  }, [model, text, pair]);
  const shown = model && hasText ? labelled.value : undefined;
  return (
    <>
      <ModelBar slot={slot} why={WHY} />
      <div class="form">
        <div class="form-pair">
          <TextField label="Text" value={text} onInput={value => setParams(TAB, { text: value })} />
          <TextField
            label="Second text, for a checkpoint that judges pairs"
            placeholder="none"
            value={pair}
            onInput={value => setParams(TAB, { pair: value || undefined })}
          />
        </div>
        <Examples
          examples={LABEL_EXAMPLES}
          onPick={example => setParams(TAB, { text: example.text, pair: undefined })}
        />
      </div>
      <WorkStatus work={work} label="Reading the text" />
      {!hasText && <p class="note">Nothing is written yet.</p>}
      <AnswerPlace label="Labels" isReady={model !== undefined} isOld={shown?.asked !== labelsAsked(text, pair)}>
        {shown && (
          <>
            <div class="card card-narrow">
              <LabelList label="Labels" answer={shown.answer} />
            </div>
            <p class="note">
              All labels of the checkpoint, in {milliseconds(shown.elapsedMs)}.
              {shown.isCut && ' The text is longer than the model takes: its end was not read.'}
            </p>
          </>
        )}
      </AnswerPlace>
    </>
  );
}
