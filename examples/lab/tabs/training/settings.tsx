import { setParams } from '../../shell/route.ts';
import { NumberChoice } from '../../shell/text-field.tsx';
import { BATCHES, EPOCHS, RATES, type Recipe, type Settings, SHARES, TAB } from './recipe.ts';

interface TrainingSettingsProps {
  readonly settings: Settings;
  readonly recipe: Recipe;
  /** What a line holds: "line", "pair". */
  readonly noun: string;
}

/** What is trained, in plain words; the numbers of it under "More". */
export function TrainingSettings({ settings, recipe, noun }: TrainingSettingsProps) {
  const { part, epochs, rate, batch, held } = settings;
  const { parts, usualPart } = recipe;
  const usual = parts[part]!;
  const set = (name: string, usualValue: number) => (value: number) =>
    setParams(TAB, { [name]: value === usualValue ? undefined : String(value) });
  const nouns = `${noun.charAt(0).toUpperCase()}${noun.slice(1)}s`;
  return (
    <>
      <fieldset class="training-parts" aria-label="What learns">
        {Object.entries(parts).map(([name, { title, note }]) => (
          <label key={name}>
            <input
              type="radio"
              name="part"
              checked={name === part}
              // Each has numbers of its own.
              onChange={() =>
                setParams(TAB, { part: name === usualPart ? undefined : name, epochs: undefined, rate: undefined })
              }
            />
            <span>
              <strong>{title}</strong>
              <span class="note">{note}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <details class="training-more">
        <summary>More</summary>
        <div class="form-row">
          <NumberChoice label="Rounds" value={epochs} choices={EPOCHS} onChange={set('epochs', usual.epochs)} />
          <NumberChoice label="Learning rate" value={rate} choices={RATES} onChange={set('rate', usual.rate)} />
          <NumberChoice
            label={`${nouns} a step`}
            value={batch}
            choices={BATCHES}
            onChange={set('batch', recipe.batch)}
          />
          <NumberChoice label="Held out, in %" value={held} choices={SHARES} onChange={set('held', 20)} />
        </div>
        <p class="note">
          In a round every {noun} is learned from once. {nouns} that are held out are not learned from: they show
          whether the model has understood or only remembers.
        </p>
      </details>
    </>
  );
}
