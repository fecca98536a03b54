import { ModeSwitch } from '../../shell/mode-switch.tsx';
import { params, setParams } from '../../shell/route.ts';
import { NextSentence } from './next-sentence.tsx';
import { Similarity } from './similarity.tsx';
import { type Mode, modeOf, TAB } from './state.ts';
import './pairs.css';

const MODES: readonly (readonly [Mode, string])[] = [
  ['similarity', 'Similarity'],
  ['next', 'Next sentence'],
];

export default function PairsTab() {
  const mode = modeOf(params.value);
  return (
    <>
      <ModeSwitch
        label="What is asked of the sentences"
        modes={MODES}
        value={mode}
        onChange={chosen => setParams(TAB, { mode: chosen === 'similarity' ? undefined : chosen })}
      />
      {mode === 'similarity' ? <Similarity /> : <NextSentence />}
    </>
  );
}
