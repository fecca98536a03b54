import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
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

/** A key that is pressed sooner was meant for the Stop that had the focus a moment ago. */
const SETTLED_MS = 400;

interface GoOnProps {
  /** Has the focus after a stop: of useFocusWhenStopped. */
  readonly button: RefObject<HTMLButtonElement | null>;
  readonly words?: string;
  onGoOn(): void;
}

/** Begins stopped work again. Who presses Stop twice, or holds the key, has stopped it all the same. */
export function GoOn({ button, words = 'Go on', onGoOn }: GoOnProps) {
  const shownAt = useRef(0);
  useLayoutEffect(() => {
    shownAt.current = performance.now();
  }, []);
  return (
    <button
      ref={button}
      type="button"
      class="button button-small"
      onKeyDown={event => event.repeat && event.preventDefault()}
      onClick={({ detail }) => {
        // By key there are no clicks to be counted.
        const isSecond = detail > 1 || (detail === 0 && performance.now() - shownAt.current < SETTLED_MS);
        if (!isSecond) onGoOn();
      }}
    >
      {words}
    </button>
  );
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
          <GoOn button={again} onGoOn={() => work.again()} />
        </div>
      )}
      <Failure error={work.error.value} onRetry={() => work.again()} />
    </>
  );
}
