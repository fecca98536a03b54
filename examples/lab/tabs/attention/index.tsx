import { ModelBar } from '../../shell/model-bar.tsx';
import { pipelineKind } from '../../shell/model-kind.ts';
import { ModelSlot } from '../../shell/model-slot.ts';

const slot = new ModelSlot(pipelineKind('feature-extraction'), { tab: 'attention', task: 'attention' });

export default function AttentionTab() {
  return <ModelBar slot={slot} />;
}
