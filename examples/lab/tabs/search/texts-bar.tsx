import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { FileButton } from '../../shell/file-button.tsx';
import { count, megabytes } from '../../shell/format.ts';
import { ACCEPT, type Read, readFiles, readPasted } from './files.ts';
import type { IndexNote } from './index-store.ts';
import type { Unit } from './passages.ts';
import { add, choose, create, current, refreshNotes, remove, rename, SAMPLE_ID, shownNotes } from './state.ts';

/** Which texts are searched: those that are open, all that are kept, and the way to others. */
export function TextsBar() {
  const isOpen = useSignal(false);
  const toggle = useRef<HTMLButtonElement>(null);
  const index = current.value;
  const note = shownNotes().find(({ id }) => id === index?.id);
  return (
    <section class="model" aria-label="Texts">
      <div class="model-line search-texts">
        <span class="model-label">Texts</span>
        <strong class="model-name">{index?.name ?? ''}</strong>
        {note && <span class="model-facts">{factsOf(note)}</span>}
        <span class="model-actions">
          <button
            ref={toggle}
            type="button"
            class="button button-small"
            aria-expanded={isOpen.value}
            onClick={() => {
              isOpen.value = !isOpen.value;
            }}
          >
            {isOpen.value ? 'Close' : 'Other texts'}
          </button>
        </span>
      </div>
      {isOpen.value && (
        <TextsPicker
          onDone={() => {
            isOpen.value = false;
            // The focus would go with the picker.
            toggle.current?.focus();
          }}
        />
      )}
    </section>
  );
}

function factsOf({ passages, files, characters, vectors }: IndexNote): string {
  const facts = [count(passages, 'passage')];
  if (files.length > 1) facts.push(count(files.length, 'file'));
  const bytes = characters * 2 + (vectors ? vectors.rows * vectors.dims * 4 : 0);
  facts.push(megabytes(bytes));
  return facts.join(' · ');
}

function TextsPicker({ onDone }: { onDone: () => void }) {
  const open = current.value;
  // Another tab of the browser may have made or removed some.
  useEffect(() => void refreshNotes(), []);
  return (
    <div class="picker">
      <ul class="picker-list">
        {shownNotes().map(note => (
          <li key={note.id} class="search-kept">
            <IndexCard note={note} isOpen={note.id === open?.id} onDone={onDone} />
          </li>
        ))}
      </ul>
      <NewTexts onDone={onDone} />
    </div>
  );
}

function IndexCard({ note, isOpen, onDone }: { note: IndexNote; isOpen: boolean; onDone: () => void }) {
  const name = useSignal<string | undefined>(undefined);
  const isAsking = useSignal(false);
  const { id, vectors, passages } = note;
  if (name.value !== undefined) {
    return (
      <form
        class="search-rename"
        onSubmit={event => {
          event.preventDefault();
          const trimmed = name.value?.trim();
          if (trimmed) void rename(id, trimmed);
          name.value = undefined;
        }}
      >
        <input
          class="field"
          aria-label="Name"
          value={name.value}
          ref={input => input?.focus()}
          onInput={event => {
            name.value = event.currentTarget.value;
          }}
          onKeyDown={event => {
            if (event.key === 'Escape') name.value = undefined;
          }}
        />
        <button type="submit" class="button button-small">
          Rename
        </button>
      </form>
    );
  }
  const state = !vectors
    ? 'not embedded yet'
    : `${vectors.rows < passages ? `${vectors.rows.toLocaleString('en')} embedded` : 'embedded'} by ${vectors.model.name}${vectors.model.dtype === 'fp32' ? '' : `, ${vectors.model.dtype}`}`;
  return (
    <>
      <button
        type="button"
        class="picker-card"
        aria-pressed={isOpen}
        onClick={() => {
          choose(id);
          onDone();
        }}
      >
        <strong>{note.name}</strong>
        <span>{factsOf(note)}</span>
        <span>{state}</span>
      </button>
      {id !== SAMPLE_ID && (
        <span class="search-card-tools">
          <button
            type="button"
            class="button button-small button-quiet"
            aria-label={`Rename ${note.name}`}
            onClick={() => {
              name.value = note.name;
            }}
          >
            Rename
          </button>
          <button
            type="button"
            class="button button-small button-quiet"
            aria-label={isAsking.value ? `Remove ${note.name} for good` : `Remove ${note.name}`}
            onBlur={() => {
              isAsking.value = false;
            }}
            onClick={() => {
              if (isAsking.value) void remove(id);
              isAsking.value = !isAsking.value;
            }}
          >
            {isAsking.value ? 'Remove for good?' : 'Remove'}
          </button>
        </span>
      )}
    </>
  );
}

const units: readonly (readonly [Unit, string])[] = [
  ['sentences', 'sentences'],
  ['paragraphs', 'paragraphs'],
  ['lines', 'lines'],
];

/** Pasted texts and files, as a new index or for the one that is open. */
function NewTexts({ onDone }: { onDone: () => void }) {
  const pasted = useSignal('');
  const unit = useSignal<Unit>('sentences');
  const isMore = useSignal(false);
  const index = current.value;
  const canAdd = index !== undefined && index.id !== SAMPLE_ID;
  const take = (read: () => Promise<Read>) => {
    if (canAdd && isMore.value) add(read);
    else create(read);
    onDone();
  };
  return (
    <form
      class="search-new"
      onSubmit={event => {
        event.preventDefault();
        const text = pasted.value;
        if (text.trim() === '') return;
        take(() => readPasted(text, unit.value));
      }}
    >
      <label class="field-label">
        Texts of your own: paste them, or drop .txt, .md and .csv files anywhere on the page
        <textarea
          class="field"
          rows={3}
          value={pasted.value}
          onInput={event => {
            pasted.value = event.currentTarget.value;
          }}
        />
      </label>
      <div class="search-new-line">
        <label class="search-unit">
          Cut into
          <select
            class="field"
            value={unit.value}
            onChange={event => {
              unit.value = event.currentTarget.value as Unit;
            }}
          >
            {units.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {canAdd && (
          <label class="search-more">
            <input
              type="checkbox"
              checked={isMore.value}
              onChange={event => {
                isMore.value = event.currentTarget.checked;
              }}
            />
            Add to “{index.name}”
          </label>
        )}
        <span class="search-new-actions">
          <FileButton words="Files" accept={ACCEPT} onFiles={files => take(() => readFiles(files, unit.value))} />
          <button type="submit" class="button button-strong" disabled={pasted.value.trim() === ''}>
            Search in it
          </button>
        </span>
      </div>
      <p class="note">Texts and vectors are kept by this browser, on this device. Nothing is sent anywhere.</p>
    </form>
  );
}
