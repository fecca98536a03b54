import type { ChromaClient, Collection, EmbeddingFunction } from 'chromadb';
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

  /**
   * The client stores the configuration only of classes that have this. A pipeline cannot be made of JSON alone, so a collection that is
   * opened without a function gets none.
   */
  static buildFromConfig(_config: { space?: string }): WebGPUBertEmbeddingFunction {
    throw new Error('Open the collection with an embedding function, as openCollection does.');
  }
}

/** What a server answers of the function that a collection was made with; `configuration` has it under this name. */
interface StoredConfiguration {
  readonly embedding_function?: { readonly name?: string; readonly config?: { space?: string } } | null;
}

/**
 * The collection of a name, made where there is none. The client itself compares nothing when it opens one: this throws where the
 * collection was made with another model, or other options.
 */
export async function openCollection(client: ChromaClient, name: string, extractor: Extractor): Promise<Collection> {
  const embeddingFunction = new WebGPUBertEmbeddingFunction(extractor);
  const collection = await client.getOrCreateCollection({ name, embeddingFunction });
  const stored = (collection.configuration as StoredConfiguration).embedding_function;
  if (stored?.name === embeddingFunction.name) embeddingFunction.validateConfig(stored.config ?? {});
  return collection;
}
