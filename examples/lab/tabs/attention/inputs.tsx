import { params, setParams } from '../../shell/route.ts';
import { type ComparedWith, comparedWith, pairOf, setPair, setText, TAB, textOf } from './readings.ts';

const EXAMPLES: readonly (readonly [title: string, text: string, pair: string])[] = [
  ['Two sentences', 'The dog chased the cat, and the cat climbed a tree.', 'The dog barked at the tree.'],
  ['Repeated words', 'We write what we think, and we think what we write.', ''],
  ['Who is “it”?', 'The animal did not cross the street because it was too tired.', ''],
  [
    'A question',
    'Where do sea turtles lay their eggs?',
    'Turtles return to the beach where they hatched and lay eggs in the sand.',
  ],
];

const rowsOf = (text: string): number => Math.min(8, Math.max(1, Math.ceil(text.length / 70)));

/** The text, its pair, and what to compare with. */
export function Inputs() {
  const address = params.value;
  const text = textOf(address);
  const pair = pairOf(address);
  const compared = comparedWith(address);
  return (
    <div class="attention-inputs">
      <label class="field-label">
        Text
        <textarea
          class="field"
          rows={rowsOf(text)}
          value={text}
          spellcheck={false}
          onInput={event => setText(event.currentTarget.value)}
        />
      </label>
      <label class="field-label">
        Second text, if any
        <textarea
          class="field"
          rows={rowsOf(pair ?? '')}
          value={pair ?? ''}
          spellcheck={false}
          onInput={event => setPair(event.currentTarget.value)}
        />
      </label>
      <fieldset class="attention-examples" aria-label="Examples">
        {EXAMPLES.map(([title, first, second]) => (
          <button
            key={title}
            type="button"
            class="button button-small"
            onClick={() => setParams(TAB, { text: first, pair: second, mask: undefined })}
          >
            {title}
          </button>
        ))}
        <label class="attention-compare">
          Compare with
          <select
            class="field"
            value={compared}
            onChange={event => {
              const choice = event.currentTarget.value as ComparedWith;
              setParams(TAB, {
                other: choice === 'text' ? textOf(params.peek()) : undefined,
                compare: choice === 'model' ? 'model' : undefined,
              });
            }}
          >
            <option value="nothing">nothing</option>
            <option value="text">another text</option>
            <option value="model">another model</option>
          </select>
        </label>
      </fieldset>
      {compared === 'text' && (
        <label class="field-label">
          The text to compare with, of as many tokens
          <textarea
            class="field"
            rows={rowsOf(address.get('other') ?? '')}
            value={address.get('other') ?? ''}
            spellcheck={false}
            onInput={event => setParams(TAB, { other: event.currentTarget.value })}
          />
        </label>
      )}
    </div>
  );
}
