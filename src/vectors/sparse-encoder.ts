import {
  outputOf,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type PretrainedOptions,
  Tensor,
} from '../api/index.ts';
import type { ModelLocation } from '../checkpoint/source/index.ts';
import { settingsOf } from '../engine/index.ts';
import { oneOf } from '../errors.ts';
import { Fields } from '../json.ts';
import type { SaveOptions } from '../saving/index.ts';
import { count, factsOf, string, textList, type WithTruncated, withFacts } from '../tasks/index.ts';
import { encodeOptions, recipeOf, type TextOptions, type TextSettings, taskOptions } from './encode-options.ts';
import { loadVectors } from './loading.ts';
import type { EncodeTask } from './router.ts';
import { type SparseLayout, sparseLayout, tablesOf } from './sparse-layout.ts';
import {
  SPARSE_SIMILARITIES,
  type SparseSimilarity,
  type SparseVector,
  sparseVector,
  strongest,
  vectorList,
} from './sparse-vector.ts';
import { readStaticWeights, type StaticWeights } from './static-weights.ts';
import { checkParts, TextSession } from './text-session.ts';

export interface SparseEncodeOptions extends TextOptions {
  /** For which task `encode` takes the modules of, where a model has others for queries than for documents. Default: the model's own. */
  task?: EncodeTask | null;
  /** Keep only so many numbers of a vector, those of the greatest absolute values. Default: what the checkpoint says, else all. */
  max_active_dims?: number | null;
}

const NAME = 'sparse-encoder';
const TASKS: readonly EncodeTask[] = ['query', 'document'];

interface Parts {
  readonly session: TextSession;
  readonly layout: SparseLayout;
  /** By folder. */
  readonly tables: ReadonlyMap<string, StaticWeights>;
  readonly settings: TextSettings;
  readonly similarity: SparseSimilarity;
  readonly maxActiveDims: number | undefined;
}

/**
 * Texts -> sparse vectors with a number for each token of the vocabulary, as sentence-transformers' SparseEncoder: SPLADE models, whose
 * logits are pooled on the GPU, and models whose queries are looked up in a table (inference-free).
 *
 *   const encoder = await SparseEncoder.from_pretrained('naver/splade-v3');
 *   const [a, b] = await encoder.encode_document(['It rains.', 'The sun shines.']);
 *   const query = await encoder.encode_query('weather');
 *   encoder.similarity(query, [a, b]).tolist(); // [[…, …]]
 *   encoder.decode(query, 3); // [['weather', 2.4], …]
 */
export class SparseEncoder {
  /** The texts that are put before a text, by name: see `prompt_name`. */
  readonly prompts: Readonly<Record<string, string>>;
  readonly default_prompt_name: string | null;
  /** How `similarity` compares. */
  readonly similarity_fn_name: SparseSimilarity;
  readonly #parts: Parts;

  /** @internal */
  constructor(parts: Parts) {
    checkParts('SparseEncoder', parts);
    this.#parts = parts;
    this.prompts = parts.settings.prompts;
    this.default_prompt_name = parts.settings.defaultPrompt ?? null;
    this.similarity_fn_name = parts.similarity;
  }

  /**
   * Loads a SparseEncoder of sentence-transformers, or any masked language model, which is taken as SPLADE with max pooling.
   * Throws SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
   */
  static async from_pretrained(model: ModelLocation, options?: PretrainedOptions | null): Promise<SparseEncoder> {
    const loaded = await loadVectors(model, options ?? {}, NAME, async (source, repository) => {
      const layout = await sparseLayout(source, repository);
      const { general } = repository;
      const settings = { ...settingsOf(general, 'CrossEncoder'), ...layout.transformer };
      const similarity = (general.similarity_fn_name ?? null) === null ? 'dot' : settings.similarity;
      const fields = new Fields(general, '', 'config_sentence_transformers.json');
      const maxActiveDims = fields.has('max_active_dims')
        ? fields.integer('max_active_dims', undefined, { min: 1 })
        : undefined;
      const reading = tablesOf(layout).map(async folder => [folder, await readStaticWeights(source, folder)] as const);
      const tables = Promise.all(reading).then(list => new Map(list));
      const splade = [...layout.routes.values()].find(route => route.kind === 'splade')!;
      return {
        folder: layout.folder,
        head: 'MaskedLM' as const,
        firstRequest: { head: { kind: 'MaskedLM' as const, sparse: splade.pooling } },
        more: tables,
        facts: { layout, settings, similarity, maxActiveDims } as const,
      };
    });
    const session = new TextSession(NAME, loaded);
    return new SparseEncoder({ ...loaded.plan.facts, session, tables: loaded.more });
  }

  /** For its events, its size on the GPU, and its config. */
  get model(): PreTrainedModel {
    return this.#parts.session.model;
  }

  /** The tokenizer of the language model. */
  get tokenizer(): PreTrainedTokenizer {
    return this.#parts.session.tokenizer;
  }

  /**
   * One vector for each text, in their order; of a single text its vector. `truncated` says of each whether the text was cut.
   * Throws InputError, UnsupportedError, DeviceError, NotFiniteError, or the signal's reason.
   */
  encode(text: string, options?: SparseEncodeOptions | null): Promise<WithTruncated<SparseVector, boolean>>;
  encode(
    texts: readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector[], readonly boolean[]>>;
  encode(
    texts: string | readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector, boolean> | WithTruncated<SparseVector[], readonly boolean[]>>;
  async encode(
    texts: string | readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector, boolean> | WithTruncated<SparseVector[], readonly boolean[]>> {
    const { session, layout, tables, settings, maxActiveDims } = this.#parts;
    const callOptions = encodeOptions(NAME, options, ['task', 'max_active_dims']);
    const list = textList(texts, string);
    const kept = callOptions.max_active_dims ?? maxActiveDims;
    if (kept !== undefined) count('max_active_dims', kept, { fallback: 1 });
    const recipe = await recipeOf(settings, callOptions);
    const { task } = callOptions;
    if ((task ?? null) !== null) oneOf('task', task, TASKS);
    const route = layout.routes.get(layout.routeOf(task ?? undefined))!;
    const { results, facts } =
      route.kind === 'static'
        ? session.lookUp(
            { texts: list, recipe, table: tables.get(route.folder)!, read: row => sparseVector(row, kept) },
            callOptions,
          )
        : await session.compute(
            {
              texts: list,
              recipe,
              request: { head: { kind: 'MaskedLM', sparse: route.pooling } },
              read: outputs => sparseVector(outputOf(outputs, 'sparse_embedding'), kept),
            },
            callOptions,
          );
    return Array.isArray(texts) ? withFacts(results, facts) : withFacts(results[0]!, factsOf(facts, 0));
  }

  /** As `encode`, for queries: with their modules, and the prompt "query" unless another is asked for. */
  encode_query(text: string, options?: SparseEncodeOptions | null): Promise<WithTruncated<SparseVector, boolean>>;
  encode_query(
    texts: readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector[], readonly boolean[]>>;
  async encode_query(
    texts: string | readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector, boolean> | WithTruncated<SparseVector[], readonly boolean[]>> {
    return this.encode(texts, taskOptions(NAME, options, 'query', this.prompts));
  }

  /** As `encode`, for documents: with their modules, and the prompt "document" (or "passage", or "corpus") unless another is asked for. */
  encode_document(text: string, options?: SparseEncodeOptions | null): Promise<WithTruncated<SparseVector, boolean>>;
  encode_document(
    texts: readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector[], readonly boolean[]>>;
  async encode_document(
    texts: string | readonly string[],
    options?: SparseEncodeOptions | null,
  ): Promise<WithTruncated<SparseVector, boolean> | WithTruncated<SparseVector[], readonly boolean[]>> {
    return this.encode(texts, taskOptions(NAME, options, 'document', this.prompts));
  }

  /**
   * The similarity of each vector of `a` with each of `b`, [a, b] in float32, by `similarity_fn_name`: 'dot' unless the checkpoint says
   * otherwise. Distances are negated. Throws InputError for what are no vectors of this model.
   */
  similarity(a: SparseVector | readonly SparseVector[], b: SparseVector | readonly SparseVector[]): Tensor<'float32'> {
    const dimensions = this.get_embedding_dimension();
    const [rows, columns] = [vectorList('a', a, dimensions), vectorList('b', b, dimensions)];
    const compare = SPARSE_SIMILARITIES[this.similarity_fn_name];
    const data = Float32Array.from({ length: rows.length * columns.length }, (_, i) =>
      compare(rows[Math.floor(i / columns.length)]!, columns[i % columns.length]!),
    );
    return new Tensor('float32', data, [rows.length, columns.length]);
  }

  /**
   * The tokens of a vector with their numbers, the greatest first; `top_k` of them at most (default: all). For a list of vectors a list
   * of such lists. Throws InputError.
   */
  decode(vector: SparseVector, top_k?: number | null): [token: string, weight: number][];
  decode(vectors: readonly SparseVector[], top_k?: number | null): [token: string, weight: number][][];
  decode(
    vectors: SparseVector | readonly SparseVector[],
    top_k?: number | null,
  ): [token: string, weight: number][] | [token: string, weight: number][][] {
    const topK = count('top_k', top_k, { fallback: Number.MAX_SAFE_INTEGER });
    const { text } = this.tokenizer;
    const decoded = vectorList('the argument of decode', vectors, this.get_embedding_dimension()).map(vector =>
      // A model may have more rows than its tokenizer has tokens.
      strongest(vector, topK).map(([id, weight]): [string, number] => [text.idToToken(id) ?? `[${id}]`, weight]),
    );
    return Array.isArray(vectors) ? decoded : decoded[0]!;
  }

  /** How many dimensions a vector has: the tokens of the vocabulary. */
  get_embedding_dimension(): number {
    return this.#parts.session.config.vocabSize;
  }

  /**
   * All files of the model as it is now, which `from_pretrained` takes as they are, and Python in a folder: see Session.save_pretrained of
   * pipelines. Throws UnsupportedError, InputError, DeviceError, SourceError, CheckpointError, or the signal's reason.
   */
  save_pretrained(options?: SaveOptions | null): Promise<File[]> {
    return this.#parts.session.save_pretrained(options);
  }

  /** Frees everything that the model holds on the GPU. Calls under way reject with DeviceError. */
  async dispose(): Promise<void> {
    await this.#parts.session.dispose();
  }
}
