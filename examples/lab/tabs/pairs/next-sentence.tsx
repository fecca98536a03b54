import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds, percent } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { NEXT_EXAMPLES, next, nextOf, nextSlot, nextWork, predict, TAB } from './state.ts';

const WHY =
  'Whether a sentence follows another is asked of BERT’s pre-training head, which few checkpoints still have.';

export function NextSentence() {
  const { first, second } = nextOf(params.value);
  const model = nextSlot.model;
  const isComplete = first.trim() !== '' && second.trim() !== '';
  useEffect(() => {
    next.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && isComplete) predict(model, first, second);
    else nextWork.clear();
  }, [model, first, second]);
  useEffect(() => () => nextWork.clear(), []);
  const shown = model && isComplete ? next.value : undefined;
  return (
    <>
      <ModelBar slot={nextSlot} why={WHY} />
      <div class="form">
        <div class="form-pair">
          <TextField label="First sentence" value={first} onInput={value => setParams(TAB, { first: value, second })} />
          <TextField
            label="Second sentence"
            value={second}
            onInput={value => setParams(TAB, { first, second: value })}
          />
        </div>
        <div class="form-row">
          <button type="button" class="button" onClick={() => setParams(TAB, { first: second, second: first })}>
            Swap them
          </button>
        </div>
        <Examples
          examples={NEXT_EXAMPLES}
          onPick={example => setParams(TAB, { first: example.first, second: example.second })}
        />
      </div>
      <WorkStatus work={nextWork} label="Reading both" />
      {!isComplete && <p class="note">Both sentences are needed.</p>}
      <AnswerPlace
        label="Next sentence"
        isReady={model !== undefined}
        isOld={shown?.first !== first || shown.second !== second}
      >
        {shown && (
          <>
            <div class="card card-narrow">
              <ScoreList
                label="Next sentence"
                scores={[
                  {
                    key: 'yes',
                    label: 'The second follows the first',
                    words: percent(shown.isNext),
                    share: shown.isNext,
                    isStrong: shown.isNext >= 0.5,
                  },
                  {
                    key: 'no',
                    label: 'It stands elsewhere',
                    words: percent(1 - shown.isNext),
                    share: 1 - shown.isNext,
                    isStrong: shown.isNext < 0.5,
                  },
                ]}
              />
            </div>
            <p class="note">
              Read in {milliseconds(shown.elapsedMs)}. In training the wrong sentences came from other documents, so the
              head tells topics apart rather than logic.
              {shown.isCut && ' Both together are longer than the model takes: the end was not read.'}
            </p>
          </>
        )}
      </AnswerPlace>
    </>
  );
}
