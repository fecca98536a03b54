import type { EmbeddingFunction } from 'chromadb';
import type { FeatureExtractionPipeline } from 'webgpu-bert';

type Extractor = Pick<FeatureExtractionPipeline, 'encode_query' | 'encode_document' | 'space'>;

/** The embedding function of a Chroma collection (https://trychroma.com): queries and documents get the checkpoint's prompts. */
export class WebGPUBertEmbeddingFunction implements EmbeddingFunction {
  readonly name = 'webgpu-bert';
  readonly #extractor: Extractor;

  constructor(extractor: Extractor) {
    this.#extractor = extractor;
  }

  async generate(texts: string[]): Promise<number[][]> {
    return (await this.#extractor.encode_document(texts)).tolist() as number[][];
  }

  async generateForQueries(texts: string[]): Promise<number[][]> {
    return (await this.#extractor.encode_query(texts)).tolist() as number[][];
  }

  defaultSpace() {
    return 'cosine' as const;
  }

  supportedSpaces() {
    return ['cosine' as const, 'l2' as const, 'ip' as const];
  }

  /** Is stored with the collection. */
  getConfig() {
    return { space: this.#extractor.space };
  }

  /** Throws where the collection was made with another model, or other options: its vectors cannot be compared with these. */
  validateConfig(config: { space?: string }): void {
    if (config.space === undefined || config.space === this.#extractor.space) return;
    throw new Error(
      `The collection has vectors of ${config.space}, and this model makes those of ${this.#extractor.space}.`,
    );
  }

  validateConfigUpdate(config: { space?: string }): void {
    this.validateConfig(config);
  }

  /** A pipeline cannot be made of JSON alone: a collection is opened with the function that is passed to it. */
  buildFromConfig(config: { space?: string }): WebGPUBertEmbeddingFunction {
    this.validateConfig(config);
    return this;
  }
}
