import { useEffect, useState } from 'preact/hooks';
import { Failure } from './failure.tsx';
import type { Work } from './work.ts';

/** Work that takes less than this shows nothing: a line that flashes up is noise. */
const QUIET_MS = 400;

/** What a Work is doing: how far it is, with a button that stops it; and what it has failed with. */
export function WorkStatus({ work, label }: { work: Work; label: string }) {
  const isBusy = work.isBusy.value;
  const progress = work.progress.value;
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (!isBusy) return;
    const timer = setTimeout(() => setSlow(true), QUIET_MS);
    return () => clearTimeout(timer);
  }, [isBusy]);
  return (
    <>
      {isBusy && isSlow && (
        <div class="work" role="status">
          <span>{label}</span>
          {progress && (
            <>
              <progress max={progress.total} value={progress.done} aria-label={label} />
              <span class="number">
                {progress.done} of {progress.total}
              </span>
            </>
          )}
          <button type="button" class="button button-small" onClick={() => work.halt()}>
            Stop
          </button>
        </div>
      )}
      {work.isStopped.value && (
        <div class="work" role="status">
          <span>Stopped</span>
          <button type="button" class="button button-small" onClick={() => work.again()}>
            Go on
          </button>
        </div>
      )}
      <Failure error={work.error.value} onRetry={() => work.again()} />
    </>
  );
}
