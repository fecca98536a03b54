import { DeviceError } from 'webgpu-bert';
import { LineSearch } from './line-search.ts';
import {
  count,
  element,
  hideFailure,
  megabytes,
  mostShown,
  say,
  seconds,
  showFailure,
  showHits,
  showProgress,
} from './page.ts';
import { questions, sentences } from './sentences.ts';

const question = element<HTMLInputElement>('question');
const lines = element<HTMLTextAreaElement>('lines');
const file = element<HTMLInputElement>('file');
const mostLines = 2000;
const pauseMs = { question: 120, lines: 600 };

let search: LineSearch | undefined;
/** Lines whose vectors are being made; nothing while all are there. */
let note = '';
let asking = new AbortController();
let reading = new AbortController();

/** Runs the last of several calls, once nothing has come for a while. */
function debounced(run: () => Promise<void>, ms: number): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void run(), ms);
  };
}

/** The work of one kind that is under way gives way to this; what it then rejects with is no failure. */
async function unlessAborted(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) showFailure(error);
  }
}

async function answer(): Promise<void> {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const text = question.value.trim();
  if (!search) return;
  if (text === '') {
    showHits([]);
    say(note || `${count(new Set(ownLines()).size, 'line')} to search`);
    return;
  }
  const searcher = search;
  await unlessAborted(signal, async () => {
    const began = performance.now();
    const hits = await searcher.rank(text, signal);
    const took = seconds(performance.now() - began);
    showHits(hits);
    element('warm').textContent = took;
    const best = hits.length > mostShown ? `, the best ${mostShown} shown` : '';
    say(note || `${count(hits.length, 'line')} ranked in ${took}${best}`);
    hideFailure();
  });
}

function ownLines(): string[] {
  const all = lines.value.split(/\r\n|[\r\n]/).map(line => line.trim());
  return all.filter(line => line !== '');
}

async function readLines(): Promise<void> {
  reading.abort();
  reading = new AbortController();
  const { signal } = reading;
  if (!search) return;
  const searcher = search;
  const all = ownLines();
  await unlessAborted(signal, async () => {
    hideFailure();
    note = '';
    for await (const { read, total, tokens, elapsedMs } of searcher.read(all.slice(0, mostLines), signal)) {
      const rate = Math.round((tokens / elapsedMs) * 1000).toLocaleString('en');
      if (tokens > 0) element('rate').textContent = `${rate} tokens per second`;
      note = read < total ? `Reading the lines: ${read.toLocaleString('en')} of ${total.toLocaleString('en')}` : '';
      if (note) say(note);
    }
    note = '';
    await answer();
    if (all.length > mostLines) say(`The first ${mostLines} of ${count(all.length, 'line')} are searched`);
  });
}

async function load(): Promise<void> {
  hideFailure();
  element('loading').hidden = false;
  say('Loading the model');
  const began = performance.now();
  try {
    const loaded = await LineSearch.load(showProgress);
    search = loaded;
    element('load').textContent = seconds(performance.now() - began);
    element('adapter').textContent = loaded.adapter;
    element('loading').hidden = true;
    await readLines();
    element('memory').textContent = await loaded
      .bytes()
      .then(({ weights, activations }) => `${megabytes(weights)} weights, ${megabytes(activations)} work`);
  } catch (error) {
    element('loading').hidden = true;
    say('');
    // A download that broke off may go on; a browser without WebGPU stays one.
    showFailure(error, error instanceof DeviceError ? undefined : () => void load());
  }
}

async function take(given: File | undefined): Promise<void> {
  if (!given) return;
  const text = await given.text();
  if (text.includes('\0')) return showFailure(new Error(`${given.name} is not a text file. Save it as plain text.`));
  if (text.trim() === '') return showFailure(new Error(`${given.name} has no line with text.`));
  lines.value = text;
  await readLines();
}

function use(text: string): void {
  lines.value = text;
  void readLines();
}

question.addEventListener('input', debounced(answer, pauseMs.question));
lines.addEventListener('input', debounced(readLines, pauseMs.lines));
file.addEventListener('change', () => {
  void take(file.files?.[0]);
  file.value = '';
});
element('reset').addEventListener('click', () => use(sentences.join('\n')));

addEventListener('dragover', event => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
addEventListener('dragleave', event => {
  if (!event.relatedTarget) document.body.classList.remove('dropping');
});
addEventListener('drop', event => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  void take(event.dataTransfer?.files[0]);
});

for (const text of questions) {
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
  button.addEventListener('click', () => {
    question.value = text;
    void answer();
  });
  element('suggestions').append(button);
}
lines.value = sentences.join('\n');
await load();
