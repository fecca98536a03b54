import { useEffect } from 'preact/hooks';
import { ModeSwitch } from '../../shell/mode-switch.tsx';
import { params, setParams } from '../../shell/route.ts';
import { Labels } from './labels.tsx';
import { Ranking } from './ranking.tsx';
import { type Mode, modeOf, TAB, work } from './state.ts';
import { ZeroShot } from './zero-shot.tsx';

const MODES: readonly (readonly [Mode, string])[] = [
  ['labels', 'Its labels'],
  ['zero-shot', 'Your labels'],
  ['rank', 'Rerank'],
];
const views = { labels: Labels, 'zero-shot': ZeroShot, rank: Ranking } as const;

export default function ClassificationTab() {
  const mode = modeOf(params.value);
  const View = views[mode];
  useEffect(() => () => work.clear(), []);
  return (
    <>
      <ModeSwitch
        label="What the text is sorted by"
        modes={MODES}
        value={mode}
        onChange={chosen => {
          work.clear();
          setParams(TAB, { mode: chosen === 'labels' ? undefined : chosen });
        }}
      />
      <View key={mode} />
    </>
  );
}
