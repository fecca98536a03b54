import { useEffect } from 'preact/hooks';
import { ModeSwitch } from '../../shell/mode-switch.tsx';
import { params, setParams } from '../../shell/route.ts';
import { Answers } from './answers.tsx';
import { Entities } from './entities.tsx';
import { type Mode, modeOf, TAB, work } from './state.ts';
import './entities.css';

const MODES: readonly (readonly [Mode, string])[] = [
  ['entities', 'Entities'],
  ['answers', 'Answers'],
];

export default function EntitiesTab() {
  const mode = modeOf(params.value);
  useEffect(() => () => work.clear(), []);
  return (
    <>
      <ModeSwitch
        label="What is looked for"
        modes={MODES}
        value={mode}
        onChange={chosen => {
          work.clear();
          setParams(TAB, { mode: chosen === 'entities' ? undefined : chosen });
        }}
      />
      {mode === 'entities' ? <Entities /> : <Answers />}
    </>
  );
}
