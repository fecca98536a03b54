import { setParams } from '../../shell/route.ts';
import { NumberChoice } from '../../shell/text-field.tsx';
import { BATCHES, EPOCHS, PARTS, type Part, RATES, type Settings, SHARES, TAB, USUAL_PART } from './state.ts';

const partNames = Object.keys(PARTS) as Part[];

/** What is trained, in plain words; the numbers of it under "More". */
export function TrainingSettings({ settings }: { settings: Settings }) {
  const { part, epochs, rate, batch, held } = settings;
  const usual = PARTS[part];
  const set = (name: string, usualValue: number) => (value: number) =>
    setParams(TAB, { [name]: value === usualValue ? undefined : String(value) });
  return (
    <>
      <fieldset class="training-parts" aria-label="What learns">
        {partNames.map(name => (
          <label key={name}>
            <input
              type="radio"
              name="part"
              checked={name === part}
              // Each has numbers of its own.
              onChange={() =>
                setParams(TAB, { part: name === USUAL_PART ? undefined : name, epochs: undefined, rate: undefined })
              }
            />
            <span>
              <strong>{PARTS[name].title}</strong>
              <span class="note">{PARTS[name].note}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <details class="training-more">
        <summary>More</summary>
        <div class="form-row">
          <NumberChoice label="Rounds" value={epochs} choices={EPOCHS} onChange={set('epochs', usual.epochs)} />
          <NumberChoice label="Learning rate" value={rate} choices={RATES} onChange={set('rate', usual.rate)} />
          <NumberChoice label="Lines a step" value={batch} choices={BATCHES} onChange={set('batch', 8)} />
          <NumberChoice label="Held out, in %" value={held} choices={SHARES} onChange={set('held', 20)} />
        </div>
        <p class="note">
          In a round every line is learned from once. Lines that are held out are not learned from: they show whether
          the model has understood or only remembers.
        </p>
      </details>
    </>
  );
}
