import { env, type FeatureExtractionPipeline, type ProgressCallback, pipeline } from 'webgpu-bert';

// `npm start` serves the model beside the page; where it is not there, it comes from the hub.
env.allowLocalModels = true;
env.localModelPath = '/models/';

const options = { pooling: 'mean', normalize: true } as const;
const portion = 16;

export interface Hit {
  text: string;
  /** The cosine between the line and the question, from -1 to 1. */
  score: number;
}

export interface Reading {
  /** Lines that can be searched by now, and lines in all. */
  read: number;
  total: number;
  /** Tokens computed in this reading, and the time that took. */
  tokens: number;
  elapsedMs: number;
}

/** Lines as vectors of length 1, and the nearest of them to a question. */
export class LineSearch {
  readonly #extractor: FeatureExtractionPipeline;
  #vectors = new Map<string, Float32Array>();

  private constructor(extractor: FeatureExtractionPipeline) {
    this.#extractor = extractor;
  }

  static async load(progress: ProgressCallback): Promise<LineSearch> {
    const extractor = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2', {
      progress_callback: progress,
    });
    return new LineSearch(extractor);
  }

  get adapter(): string {
    return this.#extractor.model.adapter;
  }

  bytes() {
    return this.#extractor.model.bytes();
  }

  /** Embeds the lines that are new, some at a time, and forgets those that are gone. */
  async *read(lines: readonly string[], signal: AbortSignal): AsyncGenerator<Reading> {
    const wanted = new Set(lines);
    this.#vectors = new Map([...this.#vectors].filter(([line]) => wanted.has(line)));
    const missing = [...wanted].filter(line => !this.#vectors.has(line));
    const reading = { read: this.#vectors.size, total: wanted.size, tokens: 0, elapsedMs: 0 };
    yield reading;
    for (let i = 0; i < missing.length; i += portion) {
      const texts = missing.slice(i, i + portion);
      const began = performance.now();
      const vectors = await this.#embed(texts, signal);
      reading.elapsedMs += performance.now() - began;
      texts.forEach((text, k) => {
        this.#vectors.set(text, vectors[k]!);
        reading.tokens += this.#tokens(text);
      });
      reading.read += texts.length;
      yield reading;
    }
  }

  /** The lines read so far, the nearest first. */
  async rank(question: string, signal: AbortSignal): Promise<Hit[]> {
    const [query] = await this.#embed([question], signal);
    // Of vectors of length 1 the dot product is the cosine.
    const cosine = (vector: Float32Array) => vector.reduce((sum, value, i) => sum + value * query![i]!, 0);
    const hits = [...this.#vectors].map(([text, vector]) => ({ text, score: cosine(vector) }));
    return hits.sort((a, b) => b.score - a.score);
  }

  async #embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    const rows = await this.#extractor(texts, { ...options, signal });
    return texts.map((_, i) => rows[i]!.data as Float32Array);
  }

  #tokens(text: string): number {
    const { tokenizer } = this.#extractor;
    return Math.min(tokenizer.encode(text).length, tokenizer.model_max_length);
  }
}
