import { useSignal } from '@preact/signals';
import { type CuratedModel, curated } from '../curated.ts';
import { FileButton } from './file-button.tsx';
import { localModels } from './local-models.ts';
import { folderChoice, nameOf } from './model-choice.ts';
import type { Loaded } from './model-kind.ts';
import type { ModelSlot } from './model-slot.ts';

const dtypes = [
  ['fp32', 'fp32, as computed by Python'],
  ['fp16', 'fp16, half the GPU memory'],
  ['q8', 'q8, about a quarter'],
] as const;

/** The ways to a model: the curated ones of the task, any hub id or URL, a folder. */
export function ModelPicker<M extends Loaded>({ slot, onDone }: { slot: ModelSlot<M>; onDone: () => void }) {
  const typed = useSignal('');
  const models: readonly CuratedModel[] = curated[slot.options.task];
  const choice = slot.choice.value;
  const chosen = choice && nameOf(choice);
  const take = (id: string) => {
    const trimmed = id.trim();
    if (trimmed === '') return;
    slot.choose({ id: trimmed });
    onDone();
  };
  return (
    <div class="picker">
      <ul class="picker-list">
        {models.map(({ id, megabytes, licence, note }) => (
          <li key={id}>
            <button type="button" class="picker-card" aria-pressed={id === chosen} onClick={() => take(id)}>
              <strong>{id}</strong>
              <span>{note}</span>
              <span class="number">
                {localModels.value?.includes(id) ? 'beside this page' : `${megabytes} MB`} · {licence}
              </span>
            </button>
          </li>
        ))}
      </ul>
      <div class="picker-other">
        <form
          onSubmit={event => {
            event.preventDefault();
            take(typed.value);
          }}
        >
          <label>
            Any other: an id of the Hugging Face hub, or the URL of a folder
            <span class="field-row">
              <input
                class="field"
                type="text"
                placeholder="organisation/name"
                autocomplete="off"
                autocapitalize="off"
                spellcheck={false}
                value={typed.value}
                onInput={event => {
                  typed.value = event.currentTarget.value;
                }}
              />
              <button type="submit" class="button">
                Use
              </button>
            </span>
          </label>
        </form>
        <FileButton
          words="A folder on this device"
          isFolder
          onFiles={files => {
            const folder = files[0]!.webkitRelativePath.split('/')[0] || 'files';
            slot.choose(folderChoice(folder, files));
            onDone();
          }}
        />
        {!slot.options.isFloat32 && (
          <label class="picker-dtype">
            Weights on the GPU
            <select
              class="field"
              value={slot.dtype.value}
              onChange={event => slot.choose(slot.choice.peek(), event.currentTarget.value)}
            >
              {dtypes.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        )}
        <p class="note">
          It needs model.safetensors, config.json and a tokenizer. A folder can also be dropped anywhere on the page.
        </p>
      </div>
    </div>
  );
}
