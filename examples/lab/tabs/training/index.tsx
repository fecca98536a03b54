import { ModeSwitch } from '../../shell/mode-switch.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ClassifierView } from './classifier-view.tsx';
import { EmbedderView } from './embedder-view.tsx';
import { NO_SETTINGS, TAB } from './recipe.ts';
import './training.css';

const views = { classifier: ClassifierView, embedder: EmbedderView } as const;

type Mode = keyof typeof views;

const MODES: readonly (readonly [Mode, string])[] = [
  ['classifier', 'Classifier'],
  ['embedder', 'Embedder'],
];

export default function TrainingTab() {
  const mode: Mode = params.value.get('mode') === 'embedder' ? 'embedder' : 'classifier';
  const View = views[mode];
  return (
    <>
      <ModeSwitch
        label="What you make"
        modes={MODES}
        value={mode}
        onChange={chosen => setParams(TAB, { ...NO_SETTINGS, mode: chosen === 'classifier' ? undefined : chosen })}
      />
      <View key={mode} />
    </>
  );
}
