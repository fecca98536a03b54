import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds, percent } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { segmentsOf } from './segments.ts';
import { ENTITY_EXAMPLES, type Found, find, found, STRATEGIES, slot, strategyOf, TAB, work } from './state.ts';

const WHY = 'Names are found by a checkpoint that gives each token a label.';

/** So many rows of the table at first, and more of them at a time: a long text has thousands of names. */
const ROWS = 100;

/** Angles of the colour circle that lie far apart, in the order in which labels get them. */
const HUES = [195, 60, 300, 130, 25, 255, 95, 345];

/** Names of people, places and other things, marked in the text. */
export function Entities() {
  const address = params.value;
  const text = address.get('text') ?? ENTITY_EXAMPLES[0]!.text;
  const strategy = strategyOf(address);
  const model = slot.model;
  const hasText = text.trim() !== '';
  useEffect(() => {
    found.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && hasText) find(model, text, strategy);
    else work.clear();
  }, [model, text, strategy]);
  const shown = model && hasText ? found.value : undefined;
  return (
    <>
      <ModelBar slot={slot} why={WHY} />
      <div class="form">
        <TextField label="Text" value={text} rows={3} onInput={value => setParams(TAB, { text: value })} />
        <div class="form-row">
          <label class="field-label field-narrow">
            Tokens are joined by
            <select
              class="field"
              value={strategy}
              onChange={({ currentTarget: { value } }) =>
                setParams(TAB, { group: value === 'simple' ? undefined : value })
              }
            >
              {STRATEGIES.map(([name, words]) => (
                <option key={name} value={name}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        </div>
        <Examples examples={ENTITY_EXAMPLES} onPick={example => setParams(TAB, { text: example.text })} />
      </div>
      <WorkStatus work={work} label="Reading the text" />
      {!hasText && <p class="note">Nothing is written yet.</p>}
      <AnswerPlace label="Entities" isReady={model !== undefined} isOld={shown?.text !== text}>
        {shown && <Marked shown={shown} labels={labelsOf(model?.model.config.id2label, shown)} />}
      </AnswerPlace>
    </>
  );
}

/** The labels of the checkpoint in its order, so that a label keeps its colour from text to text; then any other. */
function labelsOf(id2label: unknown, { entities }: Found): string[] {
  const names = Object.values((id2label ?? {}) as Record<string, string>).map(name => name.replace(/^[BIESLU]-/, ''));
  return [...new Set([...names.filter(name => name !== 'O'), ...entities.map(({ label }) => label)])];
}

function Marked({ shown: { text, entities, elapsedMs }, labels }: { shown: Found; labels: readonly string[] }) {
  const rows = useSignal(ROWS);
  useEffect(() => {
    rows.value = ROWS;
  }, [text]);
  const tint = (label: string) => ({ '--hue': HUES[labels.indexOf(label) % HUES.length] });
  const counts = labels.flatMap(label => {
    const times = entities.filter(entity => entity.label === label).length;
    return times > 0 ? [[label, times] as const] : [];
  });
  return (
    <>
      <p class="reading">
        {segmentsOf(text, entities).map(({ text: part, span, isStart }, place) => {
          if (span === undefined) return part;
          const { label, entity, score } = entities[span]!;
          return (
            // The pieces of a text have no names but their places.
            <mark key={place} class="entity tinted" style={tint(label)} title={`${label}, ${percent(score)}`}>
              {part}
              {isStart && <span class="entity-label">{entity ?? label}</span>}
            </mark>
          );
        })}
      </p>
      {entities.length === 0 ? (
        <p class="note">None was found in {milliseconds(elapsedMs)}.</p>
      ) : (
        <>
          <ul class="legend" aria-label="Labels">
            {counts.map(([label, times]) => (
              <li key={label}>
                <i class="tinted" style={tint(label)} />
                {label} <span class="number">{times}</span>
              </li>
            ))}
          </ul>
          <div class="card entity-list">
            <table>
              <caption class="visually-hidden">What was found, in the order of the text</caption>
              <thead>
                <tr>
                  <th scope="col">Text</th>
                  <th scope="col">Label</th>
                  <th scope="col">Score</th>
                  <th scope="col">Place</th>
                </tr>
              </thead>
              <tbody>
                {entities.slice(0, rows.value).map(({ start, end, label, entity, score }) => (
                  <tr key={`${start} ${end}`}>
                    <td>{text.slice(start, end)}</td>
                    <td>
                      <i class="tinted" style={tint(label)} />
                      {entity ?? label}
                    </td>
                    <td>{percent(score)}</td>
                    <td>
                      {start}–{end}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {entities.length > rows.value && (
            <button
              type="button"
              class="button button-small"
              onClick={() => {
                rows.value += ROWS;
              }}
            >
              Show more
            </button>
          )}
          <p class="note">
            {entities.length} found in {milliseconds(elapsedMs)}.
          </p>
        </>
      )}
    </>
  );
}
