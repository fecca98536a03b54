import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { milliseconds, percent } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { LineField, NumberChoice, TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import {
  countOf,
  EXAMPLES,
  type Guess,
  type Guesses,
  guess,
  guesses,
  slot,
  TAB,
  textOf,
  wordsOf,
  work,
} from './state.ts';
import { filled, insertMask, withMask } from './words.ts';
import './fill-mask.css';

const WHY = 'Guessing words takes a checkpoint that was trained for it and still has its masked-LM head.';

export default function FillMaskTab() {
  const address = params.value;
  const model = slot.model;
  const mask = model?.tokenizer.mask_token ?? '[MASK]';
  const hasVocabulary = !model || model.tokenizer.mask_token !== undefined;
  const text = textOf(address, mask);
  const count = countOf(address);
  const words = wordsOf(address);
  const hasMask = text.includes(mask);
  const field = useRef<HTMLTextAreaElement>(null);
  /** The text before and after the last guess that was put into it. */
  const last = useSignal<{ before: string; after: string } | undefined>(undefined);
  const setText = (value: string) => setParams(TAB, { text: value });
  useEffect(() => {
    // Another model may write its masks in another way.
    const written = model && withMask(text, mask);
    if (written !== undefined && written !== text) setText(written);
  }, [model]);
  useEffect(() => {
    guesses.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && hasMask) guess(model, { text, mask, count, words });
    else work.clear();
  }, [model, text, count, words]);
  useEffect(() => () => work.clear(), []);
  const put = (place: number, choice: Guess) => {
    const after = filled(text, mask, place, choice);
    last.value = { before: text, after };
    setText(after);
    // The guess that was chosen is gone with its mask: the keyboard goes on in the text, a finger needs no keyboard on the screen.
    if (document.activeElement?.matches(':focus-visible')) field.current?.focus();
  };
  const shown = model && hasMask && guesses.value?.mask === mask ? guesses.value : undefined;
  return (
    <>
      <ModelBar slot={slot} why={WHY} />
      <div class="form">
        <TextField label="Text" value={text} onInput={setText} field={field} />
        <div class="form-row">
          <button type="button" class="button" onClick={() => setText(insertMask(field.current!, mask))}>
            Insert {mask}
          </button>
          {last.value?.after === text && (
            <button type="button" class="button" onClick={() => setText(last.value!.before)}>
              Take it back
            </button>
          )}
          <LineField
            label="Only these words"
            placeholder="any, or some to compare: is, are"
            value={words}
            onInput={value => setParams(TAB, { words: value === '' ? undefined : value })}
          />
          <NumberChoice
            label="How many"
            value={count}
            choices={[3, 5, 10, 20, 50]}
            onChange={value => setParams(TAB, { top: value === 5 ? undefined : String(value) })}
          />
        </div>
        <Examples
          examples={EXAMPLES}
          onPick={example => setParams(TAB, { text: withMask(example.text, mask), words: example.words || undefined })}
        />
      </div>
      <WorkStatus work={work} label="Guessing" />
      {!hasVocabulary && <p class="note">The vocabulary of this model has no mask, so it guesses no words.</p>}
      {hasVocabulary && !hasMask && (
        <p class="note">No gap is left. Select a word and press “Insert {mask}” to see what else could stand there.</p>
      )}
      <AnswerPlace label="Guesses" isReady={model !== undefined} isOld={shown?.text !== text}>
        {shown && <GuessView guesses={shown} isOld={shown.text !== text} onPick={put} />}
      </AnswerPlace>
    </>
  );
}

interface GuessViewProps {
  guesses: Guesses;
  /** Whether the text has changed since. */
  isOld: boolean;
  onPick: (place: number, guess: Guess) => void;
}

/** The text with its likeliest words, or the one that is pointed at; and the guesses of each gap. */
function GuessView({ guesses: { text, mask, lists, isCut, elapsedMs }, isOld, onPick }: GuessViewProps) {
  const pointed = useSignal<{ place: number; guess: Guess } | undefined>(undefined);
  useEffect(() => {
    pointed.value = undefined;
  }, [text]);
  const parts = text.split(mask);
  const wordAt = (place: number): Guess | undefined =>
    pointed.value?.place === place ? pointed.value.guess : lists[place]?.[0];
  return (
    <>
      <p class="reading">
        {parts.map((part, place) => {
          const word = place < lists.length ? wordAt(place) : undefined;
          const isLast = place === parts.length - 1;
          return (
            // The parts of a text have no names but their places.
            <span key={place}>
              {word?.isContinued ? part.trimEnd() : part}
              {!isLast && (
                <mark class="gap">
                  {word?.text ?? mask}
                  {lists.length > 1 && <sub>{place + 1}</sub>}
                </mark>
              )}
            </span>
          );
        })}
      </p>
      <div class="gaps">
        {lists.map((list, place) => {
          const most = list[0]?.score || 1;
          const title = lists.length > 1 ? `Gap ${place + 1}` : 'In the gap';
          return (
            <section key={place} class="card" aria-label={title}>
              <h2>{title}</h2>
              <ScoreList
                label={title}
                verb="Put in"
                scores={list.map(entry => ({
                  key: entry.id,
                  label: <GuessLabel guess={entry} />,
                  words: percent(entry.score),
                  share: entry.score / most,
                }))}
                onPick={i => !isOld && onPick(place, list[i]!)}
                onPoint={i => {
                  pointed.value = i === undefined ? undefined : { place, guess: list[i]! };
                }}
              />
            </section>
          );
        })}
      </div>
      <p class="note">
        Probabilities among all words of the vocabulary, in {milliseconds(elapsedMs)}; bars are relative to the
        likeliest.
        {lists.length > 1 && ' Each gap is guessed with the others left open.'}
        {isCut && ' The text is longer than the model takes: its end was not read.'}
      </p>
    </>
  );
}

function GuessLabel({ guess: { text, isContinued, targets } }: { guess: Guess }) {
  const cut = targets.find(({ isCut }) => isCut);
  return (
    <>
      {isContinued ? `…${text}` : text || '(a space)'}
      {cut && <span class="gap-note"> first token of “{cut.word}”</span>}
    </>
  );
}
