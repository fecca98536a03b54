import { type ProgressInfo, WebGPUBertError } from 'webgpu-bert';
import type { Hit } from './line-search.ts';

/** The parts of the page, and how they show what is given to them. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export const mostShown = 12;
export const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
export const count = (n: number, noun: string): string => `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;

export function say(text: string): void {
  element('status').textContent = text;
}

/** Moves the three bars: bytes of weights downloaded, kernels compiled, bytes of weights on the GPU. */
export function showProgress(info: ProgressInfo): void {
  if (info.status !== 'progress' && info.status !== 'compile' && info.status !== 'upload') return;
  // The small files beside the weights would fill the bar before it begins.
  if (info.status === 'progress' && !info.file.endsWith('.safetensors')) return;
  const bar = element<HTMLProgressElement>(info.status === 'progress' ? 'download' : info.status);
  bar.value = info.loaded / info.total;
  bar.nextElementSibling!.textContent =
    info.status === 'compile'
      ? `${info.loaded} of ${count(info.total, 'kernel')}`
      : `${megabytes(info.loaded)} of ${megabytes(info.total)}`;
}

export function showHits(hits: readonly Hit[]): void {
  const rows = hits.slice(0, mostShown).map(({ text, score }) => {
    const row = document.createElement('li');
    const number = Object.assign(document.createElement('span'), { className: 'score', textContent: score.toFixed(3) });
    const bar = Object.assign(document.createElement('span'), { className: 'bar', ariaHidden: 'true' });
    bar.append(document.createElement('i'));
    (bar.firstElementChild as HTMLElement).style.width = `${Math.max(0, score) * 100}%`;
    const line = Object.assign(document.createElement('span'), { className: 'text', textContent: text });
    row.append(number, bar, line);
    return row;
  });
  element('results').replaceChildren(...rows);
}

/** Says what went wrong and what to do. `again` is offered where trying once more can help. */
export function showFailure(error: unknown, again?: () => void): void {
  const box = element('failure');
  const what = document.createElement('strong');
  const next = document.createElement('p');
  if (error instanceof WebGPUBertError) {
    const { actual, expected } = error;
    const found = [actual && `got ${actual}`, expected && `expected ${expected}`].filter(Boolean).join(', ');
    // A file's name keeps its letters.
    const sentence = error.what.replace(/^[a-z]+ /, word => word.charAt(0).toUpperCase() + word.slice(1));
    what.textContent = `${sentence}${found ? `: ${found}` : ''}.`;
    next.textContent = error.next ?? '';
  } else {
    what.textContent = error instanceof Error ? error.message : String(error);
  }
  box.replaceChildren(what, next);
  if (again) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Try again' });
    button.addEventListener('click', again);
    box.append(button);
  }
  box.hidden = false;
}

export function hideFailure(): void {
  element('failure').hidden = true;
}
