import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Failure } from './failure.tsx';
import type { Work, WorkProgress } from './work.ts';

/** Work that takes less than this shows nothing: a line that flashes up is noise. */
const QUIET_MS = 400;

/** A key that is pressed sooner was meant for the Stop that the button was a moment ago. */
const SETTLED_MS = 400;

interface WorkLineProps {
  readonly words: string;
  readonly progress?: WorkProgress | undefined;
  readonly isStopped: boolean;
  /** What begins stopped work again. */
  readonly goOn?: string;
  onStop(): void;
  onGoOn(): void;
}

/**
 * What is being done and how far it is, with one button that stops it and begins it again: so the focus stays where it is. Who presses Stop
 * twice, or holds the key, has stopped it all the same.
 */
export function WorkLine({ words, progress, isStopped, goOn = 'Go on', onStop, onGoOn }: WorkLineProps) {
  const last = useRef({ isStopped, changedAt: Number.NEGATIVE_INFINITY });
  useLayoutEffect(() => {
    if (last.current.isStopped !== isStopped) last.current = { isStopped, changedAt: performance.now() };
  }, [isStopped]);
  return (
    <div class="work" role="status">
      <span>{words}</span>
      {progress && (
        <>
          <progress max={progress.total} value={progress.done} aria-label={words} />
          <span class="number">
            {progress.unit
              ? `${progress.done} ${progress.unit}`
              : `${progress.done.toLocaleString('en')} of ${progress.total.toLocaleString('en')}`}
          </span>
        </>
      )}
      <button
        type="button"
        class="button button-small"
        onKeyDown={event => event.repeat && event.preventDefault()}
        onClick={({ detail }) => {
          // By key there are no clicks to be counted. A Stop is never too soon.
          const isSecond = isStopped && detail === 0 && performance.now() - last.current.changedAt < SETTLED_MS;
          if (detail > 1 || isSecond) return;
          if (isStopped) onGoOn();
          else onStop();
        }}
      >
        {isStopped ? goOn : 'Stop'}
      </button>
    </div>
  );
}

/** What a Work is doing: how far it is, with a button that stops it; and what it has failed with. */
export function WorkStatus({ work, label }: { work: Work; label: string }) {
  const isBusy = work.isBusy.value;
  const isStopped = work.isStopped.value;
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    // Work that a person has stopped stays in view when it is begun again.
    if (isStopped || !isBusy) return setSlow(isStopped);
    const timer = setTimeout(() => setSlow(true), QUIET_MS);
    return () => clearTimeout(timer);
  }, [isBusy, isStopped]);
  return (
    <>
      {(isStopped || (isBusy && isSlow)) && (
        <WorkLine
          words={isStopped ? 'Stopped' : label}
          progress={work.progress.value}
          isStopped={isStopped}
          onStop={() => work.halt()}
          onGoOn={() => work.again()}
        />
      )}
      <Failure error={work.error.value} onRetry={() => work.again()} />
    </>
  );
}
