import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { curatedById } from '../curated.ts';
import { dropTarget } from './drop.ts';
import { Failure } from './failure.tsx';
import { count, megabytes, milliseconds } from './format.ts';
import type { LoadProgress, Part } from './load-progress.ts';
import { localModels } from './local-models.ts';
import { folderChoice, type ModelChoice, nameOf, shortNameOf } from './model-choice.ts';
import type { Loaded } from './model-kind.ts';
import { ModelPicker } from './model-picker.tsx';
import type { ModelSlot, SlotState } from './model-slot.ts';
import { params, unnamed } from './route.ts';
import { supported } from './support.ts';

interface ModelBarProps<M extends Loaded> {
  slot: ModelSlot<M>;
  /** Before the name: "Model", "Compared with". */
  label?: string;
  /** Why this model and no other, in a sentence: shown where it has to be downloaded first. */
  why?: string;
}

/** The model of a tab: its name, size and licence, how far its load is, and the way to another one. Opens the slot while it is shown. */
export function ModelBar<M extends Loaded>({ slot, label = 'Model', why }: ModelBarProps<M>) {
  const isOpen = useSignal(false);
  const toggle = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    slot.open(params.peek());
    return () => slot.close();
  }, [slot]);
  const address = params.value;
  useEffect(() => slot.follow(address), [slot, address]);
  useEffect(() => {
    if (slot.options.startsEmpty) return;
    dropTarget.value = {
      ...dropTarget.peek(),
      onModel: (folder, files) => slot.choose(folderChoice(folder, files)),
    };
  }, [slot]);
  const choice = slot.choice.value;
  const state = slot.state.value;
  useEffect(() => {
    if (choice && 'folder' in choice) unnamed.add(slot);
    return () => unnamed.delete(slot);
  }, [slot, choice]);
  return (
    <section class="model" aria-label={label}>
      <div class="model-line">
        <span class="model-label">{label}</span>
        {choice ? <ModelName choice={choice} /> : <span class="model-none">none yet</span>}
        <StateWords state={state} />
        <span class="model-actions">
          {state.phase === 'loading' && (
            <button type="button" class="button button-small" onClick={() => slot.stop()}>
              Stop
            </button>
          )}
          <button
            ref={toggle}
            type="button"
            class="button button-small"
            aria-expanded={isOpen.value}
            onClick={() => {
              isOpen.value = !isOpen.value;
            }}
          >
            {isOpen.value ? 'Close' : choice ? 'Change' : 'Choose'}
          </button>
        </span>
      </div>
      {state.phase === 'loading' && <Progress progress={state.progress} />}
      {choice && state.phase === 'asking' && (
        <Question
          choice={choice}
          bytes={state.bytes}
          why={why}
          onAccept={() => slot.accept()}
          onOther={() => {
            isOpen.value = true;
          }}
        />
      )}
      {state.phase === 'stopped' && (
        <button type="button" class="button button-strong model-again" onClick={() => slot.accept()}>
          Load it after all
        </button>
      )}
      {state.phase === 'failed' && <Failure error={state.error} onRetry={() => slot.accept()} />}
      {isOpen.value && (
        <ModelPicker
          slot={slot}
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

function ModelName({ choice }: { choice: ModelChoice }) {
  const known = 'id' in choice ? curatedById.get(choice.id) : undefined;
  const isLocal = 'id' in choice && localModels.value?.includes(choice.id);
  const facts = known ? [`${known.megabytes} MB`, known.licence] : [];
  if (isLocal) facts.push('beside this page');
  return (
    <>
      <strong class="model-name" title={'id' in choice ? choice.id : nameOf(choice)}>
        {shortNameOf(choice)}
      </strong>
      {facts.length > 0 && <span class="model-facts">{facts.join(' · ')}</span>}
    </>
  );
}

function StateWords<M extends Loaded>({ state }: { state: SlotState<M> }) {
  const adapter = supported.value?.adapter;
  const words = {
    empty: '',
    checking: 'looking for it',
    asking: '',
    stopped: 'stopped',
    loading: 'loading',
    ready: state.phase === 'ready' ? `ready in ${milliseconds(state.elapsedMs)}${adapter ? ` on ${adapter}` : ''}` : '',
    failed: 'not loaded',
  }[state.phase];
  return (
    <span class={`model-state is-${state.phase}`} role="status">
      {words}
    </span>
  );
}

interface QuestionProps {
  choice: ModelChoice;
  bytes: number;
  why: string | undefined;
  onAccept: () => void;
  onOther: () => void;
}

function Question({ choice, bytes, why, onAccept, onOther }: QuestionProps) {
  const known = 'id' in choice ? curatedById.get(choice.id) : undefined;
  const size = megabytes(bytes);
  return (
    <div class="panel">
      <p>
        {why} <strong class="panel-id">{nameOf(choice)}</strong> is downloaded once, {size}, and kept by this browser.{' '}
        {known ? `Licence: ${known.licence}.` : 'Its licence is on its model card.'}
      </p>
      {!navigator.onLine && (
        <p>This device is offline now: a folder with a model can be dropped on the page instead.</p>
      )}
      <div class="panel-actions">
        <button type="button" class="button button-strong" onClick={onAccept}>
          Download {size}
        </button>
        <button type="button" class="button" onClick={onOther}>
          Another model
        </button>
      </div>
    </div>
  );
}

function Progress({ progress: { download, compile, upload } }: { progress: LoadProgress }) {
  return (
    <div class="bars">
      <Bar name="Download" part={download} words={megabytes} />
      <Bar name="Kernels" part={compile} words={n => count(n, 'kernel')} />
      <Bar name="On the GPU" part={upload} words={megabytes} />
    </div>
  );
}

function Bar({ name, part, words }: { name: string; part: Part | undefined; words: (n: number) => string }) {
  return (
    <div class="bar-row">
      <span>{name}</span>
      <progress max={part?.total ?? 1} value={part?.loaded ?? 0} aria-label={name} />
      <span class="number">{part ? `${words(part.loaded)} of ${words(part.total)}` : ''}</span>
    </div>
  );
}
