import type { ComponentChildren } from 'preact';

export interface Score {
  readonly key: string | number;
  readonly label: ComponentChildren;
  /** The number as it is written. */
  readonly words: string;
  /** The length of the bar, 0 to 1. */
  readonly share: number;
  readonly isStrong?: boolean;
}

interface ScoreListProps {
  readonly label: string;
  readonly scores: readonly Score[];
  /** What a score does when it is chosen; without it they are only read. */
  readonly onPick?: ((place: number) => void) | undefined;
  /** The score that a pointer or the focus is on. */
  readonly onPoint?: ((place: number | undefined) => void) | undefined;
  /** What choosing a score does, before its name. */
  readonly verb?: string | undefined;
}

/** Names with numbers, and a bar for each. */
export function ScoreList({ label, scores, onPick, onPoint, verb }: ScoreListProps) {
  return (
    <ol class="scores" aria-label={label}>
      {scores.map(({ key, label: name, words, share, isStrong }, place) => {
        const content = (
          <>
            <span class="score-label">
              {verb && <span class="visually-hidden">{verb} </span>}
              {name}
            </span>
            <span class="score-number">{words}</span>
          </>
        );
        const bar = { '--share': Math.min(1, Math.max(0, share)) };
        return (
          <li key={key}>
            {onPick ? (
              <button
                type="button"
                class={isStrong ? 'score is-strong' : 'score'}
                style={bar}
                onClick={() => onPick(place)}
                onPointerEnter={() => onPoint?.(place)}
                onPointerLeave={() => onPoint?.(undefined)}
                onFocus={() => onPoint?.(place)}
                onBlur={() => onPoint?.(undefined)}
              >
                {content}
              </button>
            ) : (
              <div class={isStrong ? 'score is-strong' : 'score'} style={bar}>
                {content}
              </div>
            )}
          </li>
        );
      })}
    </ol>
  );
}
