import { useEffect, useId, useState } from 'preact/hooks';
import type { LineFault } from './written-lines.ts';

interface LinesFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly faults: readonly LineFault[];
  readonly field: { current: HTMLTextAreaElement | null };
  onInput(value: string): void;
}

/**
 * A text with numbers before its lines, and a word in the margin of those that something is wrong with. Below the text lies the same text
 * once more, unseen, line by line: it makes the field as high as it has to be, and numbers and words stand beside its lines.
 */
export function LinesField({ label, value, placeholder, faults, field, onInput }: LinesFieldProps) {
  const id = useId();
  const tags = new Map(faults.map(({ line, tag }) => [line, tag]));
  return (
    <div class="lines">
      <label class="field-label" for={id}>
        {label}
      </label>
      <div class="lines-box">
        <div class="lines-sheet">
          <ol class="lines-under" aria-hidden="true">
            {value.split('\n').map((line, i) => (
              // Lines have no name but their place.
              <li key={`${i + 1}`} data-tag={tags.get(i + 1)}>
                <span>{line || '\u200b'}</span>
              </li>
            ))}
          </ol>
          <textarea
            id={id}
            ref={field}
            value={value}
            spellcheck={false}
            autocapitalize="off"
            placeholder={placeholder}
            onInput={event => onInput(event.currentTarget.value)}
          />
        </div>
      </div>
    </div>
  );
}

/** While a line is being written it has no label yet: nothing new is said before a pause of this length. */
const PAUSE_MS = 800;

/** The faults that are to be seen: those that are mended go at once, new ones come when the person pauses. */
export function useSettledFaults(faults: readonly LineFault[]): readonly LineFault[] {
  const [shown, setShown] = useState(faults);
  const isKnown = ({ line, words }: LineFault) => shown.some(each => each.line === line && each.words === words);
  const isSettled = faults.every(isKnown);
  useEffect(() => {
    const timer = setTimeout(() => setShown(faults), isSettled ? 0 : PAUSE_MS);
    return () => clearTimeout(timer);
  }, [faults]);
  return isSettled ? faults : shown.filter(({ line, words }) => faults.some(f => f.line === line && f.words === words));
}

/** So many are listed; the margin has a word for each. */
const MOST_LISTED = 6;

interface FaultListProps {
  readonly faults: readonly LineFault[];
  readonly field: { current: HTMLTextAreaElement | null };
}

/** What is wrong with lines, a sentence each, and the way to the line. */
export function FaultList({ faults, field }: FaultListProps) {
  if (faults.length === 0) return null;
  const more = faults.length - MOST_LISTED;
  return (
    <div class="faults" role="status">
      <ul aria-label="Lines to look at">
        {faults.slice(0, MOST_LISTED).map(({ line, words }) => (
          <li key={line}>
            <button type="button" onClick={() => field.current && selectLine(field.current, line)}>
              Line {line}
            </button>
            <span>{words}</span>
          </li>
        ))}
      </ul>
      {more > 0 && <p class="note">And {more} more, marked in the margin.</p>}
    </div>
  );
}

function selectLine(field: HTMLTextAreaElement, line: number): void {
  const rows = field.value.split('\n');
  const start = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
  field.focus({ preventScroll: true });
  field.setSelectionRange(start, start + rows[line - 1]!.length);
  field.parentElement?.querySelectorAll('li')[line - 1]?.scrollIntoView({ block: 'nearest' });
}
