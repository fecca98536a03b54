import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure } from './failure.tsx';
import type { Work } from './work.ts';

/** Work that takes less than this shows nothing: a line that flashes up is noise. */
const QUIET_MS = 400;

/**
 * For the button that begins stopped work again: it gets the focus that went with the button of the stop, so that whoever works by
 * keyboard stays where they are.
 */
export function useFocusWhenStopped(isStopped: boolean): RefObject<HTMLButtonElement | null> {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isStopped && document.activeElement === document.body) button.current?.focus();
  }, [isStopped]);
  return button;
}

/** What a Work is doing: how far it is, with a button that stops it; and what it has failed with. */
export function WorkStatus({ work, label }: { work: Work; label: string }) {
  const isBusy = work.isBusy.value;
  const progress = work.progress.value;
  const [isSlow, setSlow] = useState(false);
  const again = useFocusWhenStopped(work.isStopped.value);
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
          <button ref={again} type="button" class="button button-small" onClick={() => work.again()}>
            Go on
          </button>
        </div>
      )}
      <Failure error={work.error.value} onRetry={() => work.again()} />
    </>
  );
}
