import type { ComponentChildren } from 'preact';
import { percent, twoDigits } from './format.ts';

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

interface LabelListProps {
  readonly label: string;
  /** The likeliest first. */
  readonly answer: readonly { readonly label: string; readonly score: number }[];
}

/** Labels with their probabilities. A regression answers with numbers of any size, which have no bar. */
export function LabelList({ label: title, answer }: LabelListProps) {
  return (
    <ScoreList
      label={title}
      scores={answer.map(({ label, score }, place) => {
        const isShare = score >= 0 && score <= 1;
        return {
          key: label,
          label,
          words: isShare ? percent(score) : twoDigits(score),
          share: isShare ? score : 0,
          isStrong: place === 0,
        };
      })}
    />
  );
}
