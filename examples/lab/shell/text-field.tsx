import type { ComponentChildren, Ref } from 'preact';

interface TextFieldProps {
  readonly label: ComponentChildren;
  readonly value: string;
  onInput(value: string): void;
  /** Lines of an empty field; more come with the text. */
  readonly rows?: number;
  readonly placeholder?: string | undefined;
  readonly field?: Ref<HTMLTextAreaElement>;
}

/** A text of any number of lines, that grows with what is typed. */
export function TextField({ label, value, onInput, rows = 2, placeholder, field }: TextFieldProps) {
  // Where the browser does not grow the field itself, its lines are counted.
  const lines = value.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 80)), 0);
  return (
    <label class="field-label">
      {label}
      <textarea
        class="field"
        ref={field}
        rows={Math.min(16, Math.max(rows, lines))}
        value={value}
        placeholder={placeholder}
        spellcheck={false}
        onInput={event => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

interface LineFieldProps extends Omit<TextFieldProps, 'rows' | 'field'> {
  readonly isInvalid?: boolean;
}

/** A text of one line. */
export function LineField({ label, value, onInput, placeholder, isInvalid }: LineFieldProps) {
  return (
    <label class="field-label">
      {label}
      <input
        class="field"
        type="text"
        value={value}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
        aria-invalid={isInvalid}
        onInput={event => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

interface NumberChoiceProps {
  readonly label: string;
  readonly value: number;
  readonly choices: readonly number[];
  onChange(value: number): void;
}

/** One of a few numbers; another one that the address names is among them. */
export function NumberChoice({ label, value, choices, onChange }: NumberChoiceProps) {
  const all = [...new Set([...choices, value])].sort((a, b) => a - b);
  return (
    <label class="field-label field-narrow">
      {label}
      <select class="field" value={value} onChange={event => onChange(Number(event.currentTarget.value))}>
        {all.map(number => (
          <option key={number} value={number}>
            {number}
          </option>
        ))}
      </select>
    </label>
  );
}
