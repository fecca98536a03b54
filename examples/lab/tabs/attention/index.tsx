import { useEffect } from 'preact/hooks';
import { count, milliseconds } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params } from '../../shell/route.ts';
import { supported } from '../../shell/support.ts';
import { WorkStatus } from '../../shell/work-status.tsx';
import { ElementView } from './element-view.tsx';
import { Inputs } from './inputs.tsx';
import {
  comparedWith,
  maskedOf,
  otherSlot,
  otherView,
  otherWork,
  pairOf,
  read,
  reading,
  readOther,
  showFirstView,
  slot,
  textOf,
  work,
} from './readings.ts';
import './attention.css';

export default function AttentionTab() {
  const address = params.value;
  const compared = comparedWith(address);
  const text = textOf(address);
  const pair = pairOf(address);
  const masks = address.get('mask') ?? '';
  const model = slot.model;
  const otherModel = compared === 'model' ? otherSlot.model : model;
  const otherText = compared === 'text' ? (address.get('other') ?? '') : text;
  useEffect(() => void showFirstView(), [text, pair, slot.choice.value]);
  const hasText = text.trim() !== '';
  const hasOther = otherText.trim() !== '';
  useEffect(() => {
    if (model && hasText) read(model, text, pair, maskedOf(params.peek()));
    else work.clear();
  }, [model, text, pair, masks]);
  useEffect(() => {
    if (compared === 'nothing') otherView.value = undefined;
    if (compared !== 'nothing' && otherModel && hasOther)
      readOther(otherModel, otherText, pair, maskedOf(params.peek()));
    else otherWork.clear();
  }, [compared, otherModel, otherText, pair, masks]);
  useEffect(
    () => () => {
      work.clear();
      otherWork.clear();
    },
    [],
  );
  return (
    <>
      <div class="attention-models">
        <ModelBar slot={slot} />
        {compared === 'model' && <ModelBar slot={otherSlot} label="Compared with" />}
      </div>
      <Inputs />
      <div class="attention-status">
        {hasText ? <ReadingWords /> : <p class="note">Nothing is written yet.</p>}
        {hasText && !hasOther && <p class="note">Nothing is written yet to compare it with.</p>}
        <WorkStatus work={work} label="Reading the attention" />
        {compared !== 'nothing' && <WorkStatus work={otherWork} label="Reading what it is compared with" />}
      </div>
      <ElementView isCompared={compared !== 'nothing'} />
    </>
  );
}

function ReadingWords() {
  const now = reading.value;
  const canRun = supported.value?.ok !== false;
  if (!now) return <p class="note">{canRun ? 'Waiting for the model' : 'Not read: the model does not run here'}</p>;
  const { view, elapsedMs } = now;
  const heads = count(view.layers * view.heads, 'head');
  const tokens = count(view.tokens.length, 'token');
  return (
    <p class="note">
      {elapsedMs === undefined
        ? `${heads}, ${tokens}; computed beforehand${canRun ? ', live as soon as the model is there' : ''}`
        : `${heads}, ${tokens}, read in ${milliseconds(elapsedMs)}`}
    </p>
  );
}
