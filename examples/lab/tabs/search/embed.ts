import type { FeatureExtractionPipeline } from 'webgpu-bert';
import { countOf, type ModelNote, type TextIndex, textOf } from './text-index.ts';

/** Passages and queries as vectors of length 1, with the prompts that the checkpoint has for each. */

/** So many passages a call at first; then as many as take about a fifth of a second, so that it can be stopped and shows how far it is. */
const FIRST = 8;
const MOST = 128;
const QUICK_MS = 150;
const SLOW_MS = 800;
/** New vectors are kept after so long at the latest: a page that goes away has little to lose. */
const KEPT_MS = 400;

export interface EmbedSpeed {
  readonly tokens: number;
  readonly elapsedMs: number;
}

export interface EmbedOptions {
  readonly model: ModelNote;
  readonly signal: AbortSignal;
  /** Tells by `pagehide` that it goes away. */
  readonly page: EventTarget;
  onRows(rows: number, total: number, speed: EmbedSpeed): void;
  /** Keeps the rows from `from` on. */
  keep(from: number): Promise<void>;
  /** The same as the page goes away, once the first rows of the model are kept. */
  keepAtOnce(from: number): void;
}

/** The name of the checkpoint's prompt for documents: some call it "passage". */
const documentPrompt = ({ prompts: { document, passage } }: FeatureExtractionPipeline): string =>
  !document && passage ? 'passage' : 'document';

/** The prompts that the checkpoint puts before queries and passages; undefined where it has none. */
export function promptsOf(extractor: FeatureExtractionPipeline): { query: string; document: string } | undefined {
  const query = extractor.prompts.query ?? '';
  const document = extractor.prompts[documentPrompt(extractor)] ?? '';
  return query === '' && document === '' ? undefined : { query, document };
}

/** Long passages are read to their end, in windows. */
const OPTIONS = { normalize: true, overflow: 'window' } as const;

export async function embedQuery(
  extractor: FeatureExtractionPipeline,
  text: string,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { data } = await extractor.encode_query([text], { ...OPTIONS, signal });
  return data as Float32Array;
}

/**
 * Embeds the passages that have no vector in the model's space. Rejects with the signal's reason. What is done is kept while it goes on,
 * at its end whatever that is, and when the page is left.
 */
export async function embedPassages(
  extractor: FeatureExtractionPipeline,
  index: TextIndex,
  { model, signal, page, onRows, keep, keepAtOnce }: EmbedOptions,
): Promise<void> {
  const { space } = extractor;
  const total = countOf(index);
  const prompt_name = documentPrompt(extractor);
  const isNew = index.vectors?.space !== space;
  let row = isNew ? 0 : index.vectors!.rows;
  let kept = row;
  let size = FIRST;
  let speed: EmbedSpeed = { tokens: 0, elapsedMs: 0 };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let keeping = Promise.resolve();
  const keepNew = () => {
    clearTimeout(timer);
    timer = undefined;
    // One after the other: the first rows of a model take out those of another.
    keeping = keeping.then(async () => {
      const end = row;
      if (end > kept) await keep(kept);
      kept = end;
    });
    return keeping;
  };
  const keepLast = () => {
    if (kept > 0 && row > kept) keepAtOnce(kept);
  };
  page.addEventListener('pagehide', keepLast);
  try {
    while (row < total) {
      const texts = Array.from({ length: Math.min(size, total - row) }, (_, i) => textOf(index, row + i));
      const began = performance.now();
      const embeddings = await extractor.encode_document(texts, { ...OPTIONS, prompt_name, signal });
      signal.throwIfAborted();
      const elapsedMs = performance.now() - began;
      const dims = embeddings.dims[1]!;
      if (row === 0) index.vectors = { space, model, dims, rows: 0, data: new Float32Array(total * dims) };
      index.vectors!.data.set(embeddings.data as Float32Array, row * dims);
      row += texts.length;
      index.vectors!.rows = row;
      const tokens = embeddings.tokens.reduce((sum, count) => sum + count, 0);
      speed = { tokens: speed.tokens + tokens, elapsedMs: speed.elapsedMs + elapsedMs };
      onRows(row, total, speed);
      if (elapsedMs < QUICK_MS) size = Math.min(MOST, size * 2);
      else if (elapsedMs > SLOW_MS) size = Math.max(FIRST, size >> 1);
      timer ??= setTimeout(keepNew, kept === 0 ? 0 : KEPT_MS);
    }
  } finally {
    page.removeEventListener('pagehide', keepLast);
    await keepNew();
  }
}
