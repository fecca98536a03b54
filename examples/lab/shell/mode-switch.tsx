interface ModeSwitchProps<Mode extends string> {
  readonly label: string;
  readonly modes: readonly (readonly [mode: Mode, title: string])[];
  readonly value: Mode;
  onChange(mode: Mode): void;
}

/** One of a few ways to use a tab. */
export function ModeSwitch<Mode extends string>({ label, modes, value, onChange }: ModeSwitchProps<Mode>) {
  return (
    <fieldset class="modes" aria-label={label}>
      {modes.map(([mode, title]) => (
        <label key={mode} data-title={title}>
          <input type="radio" name={label} checked={mode === value} onChange={() => onChange(mode)} />
          {title}
        </label>
      ))}
    </fieldset>
  );
}
