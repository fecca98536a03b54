import {
  outputOf,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type PretrainedOptions,
  Tensor,
} from '../api/index.ts';
import type { ModelLocation } from '../checkpoint/source/index.ts';
import { checkNames } from '../errors.ts';
import type { ChainStep } from '../model/index.ts';
import type { SaveOptions } from '../saving/index.ts';
import {
  count,
  factsOf,
  flag,
  listOf,
  type RankedDocument,
  ranked,
  string,
  textList,
  type WithTruncated,
  withFacts,
} from '../tasks/index.ts';
import { encodeOptions, recipeOf, type TextOptions, taskOptions } from './encode-options.ts';
import { loadVectors } from './loading.ts';
import { withMarkers } from './markers.ts';
import { maxSimScores, vectorsOf } from './max-sim.ts';
import { type MultiVectorLayout, multiVectorLayout } from './multi-vector-layout.ts';
import type { EncodeTask } from './router.ts';
import { checkParts, TextSession } from './text-session.ts';
import { TokenRows } from './token-rows.ts';

export interface MultiVectorSimilarityOptions {
  /** Aborts the call: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
}

export interface MultiVectorRankOptions extends MultiVectorSimilarityOptions {
  /** How many documents to report. Default: all. */
  top_k?: number | null;
  /** Whether `text` is reported. Default: false. */
  return_documents?: boolean | null;
  /** Is called as the documents are done: see RunOptions. */
  progress_callback?: TextOptions['progress_callback'];
  /** What to do with a text that is longer than the model takes. Default: 'truncate'. */
  overflow?: TextOptions['overflow'];
}

const NAME = 'multi-vector-encoder';

/** The vectors of a text, a row for each token that counts: [tokens, columns]. */
export type TokenVectors = Tensor<'float32'>;

interface Parts {
  readonly session: TextSession;
  readonly layout: MultiVectorLayout;
  /** From the last hidden states to the vectors. */
  readonly steps: readonly ChainStep[];
  readonly rows: TokenRows;
}

/**
 * Texts -> a vector for each token, which are compared one by one (late interaction: ColBERT, Khattab and Zaharia, arXiv 2004.12832), as
 * sentence-transformers' MultiVectorEncoder. It reads its checkpoints, and those of PyLate and of Stanford's ColBERT.
 *
 *   const encoder = await MultiVectorEncoder.from_pretrained('lightonai/GTE-ModernColBERT-v1');
 *   const queries = await encoder.encode_query(['What is the capital?']);
 *   const documents = await encoder.encode_document(['Paris is the capital of France.', 'It rains.']);
 *   (await encoder.similarity(queries, documents)).tolist(); // [[…, …]]
 *   await encoder.rank('What is the capital?', ['It rains.', 'Paris is the capital.'], { top_k: 1 });
 */
export class MultiVectorEncoder {
  /** The texts that are put before a text, by name: see `prompt_name`. */
  readonly prompts: Readonly<Record<string, string>>;
  readonly default_prompt_name: string | null;
  /** How `similarity` compares: 'maxsim', or 'meanmaxsim', which divides by the number of the query's vectors. */
  readonly similarity_fn_name: 'maxsim' | 'meanmaxsim';
  readonly #parts: Parts;

  /** @internal */
  constructor(parts: Parts) {
    checkParts('MultiVectorEncoder', parts);
    const { settings, similarity } = parts.layout;
    this.#parts = parts;
    this.prompts = settings.prompts;
    this.default_prompt_name = settings.defaultPrompt ?? null;
    this.similarity_fn_name = similarity;
  }

  /**
   * Loads a late-interaction model. Throws SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
   */
  static async from_pretrained(model: ModelLocation, options?: PretrainedOptions | null): Promise<MultiVectorEncoder> {
    const loaded = await loadVectors(model, options ?? {}, NAME, async (source, repository) => {
      const layout = await multiVectorLayout(source, repository);
      const modules = await layout.modules(source);
      return {
        folder: layout.folder,
        head: undefined,
        firstRequest: { tokens: modules.steps },
        tokens: modules,
        readTokenizer: withMarkers(layout.markers),
        more: Promise.resolve(),
        layout,
      };
    });
    const { layout, tokens } = loaded.plan;
    const session = new TextSession(NAME, loaded);
    try {
      const rows = new TokenRows(layout, loaded.tokenizer, session.config);
      return new MultiVectorEncoder({ session, layout, steps: tokens.steps, rows });
    } catch (error) {
      await session.dispose();
      throw error;
    }
  }

  /** For its events, its size on the GPU, and its config. */
  get model(): PreTrainedModel {
    return this.#parts.session.model;
  }

  get tokenizer(): PreTrainedTokenizer {
    return this.#parts.session.tokenizer;
  }

  /**
   * The vectors of each query, in their order; of a single text its vectors. Queries are filled up with mask tokens where the model was
   * trained so, and those have vectors too. `truncated` says of each whether the text was cut.
   * Throws InputError, UnsupportedError, DeviceError, NotFiniteError, or the signal's reason.
   */
  encode_query(text: string, options?: TextOptions | null): Promise<WithTruncated<TokenVectors, boolean>>;
  encode_query(
    texts: readonly string[],
    options?: TextOptions | null,
  ): Promise<WithTruncated<TokenVectors[], readonly boolean[]>>;
  async encode_query(
    texts: string | readonly string[],
    options?: TextOptions | null,
  ): Promise<WithTruncated<TokenVectors, boolean> | WithTruncated<TokenVectors[], readonly boolean[]>> {
    return this.#encode(texts, options, 'query');
  }

  /** The vectors of each document, in their order, without those of the tokens on the model's skip list; else as `encode_query`. */
  encode_document(text: string, options?: TextOptions | null): Promise<WithTruncated<TokenVectors, boolean>>;
  encode_document(
    texts: readonly string[],
    options?: TextOptions | null,
  ): Promise<WithTruncated<TokenVectors[], readonly boolean[]>>;
  async encode_document(
    texts: string | readonly string[],
    options?: TextOptions | null,
  ): Promise<WithTruncated<TokenVectors, boolean> | WithTruncated<TokenVectors[], readonly boolean[]>> {
    return this.#encode(texts, options, 'document');
  }

  /**
   * The score of each query with each document, [queries, documents]: the sum over the vectors of the query of the greatest dot product
   * with a vector of the document, computed on the GPU. A document without vectors scores -1e9, as in Python.
   * Throws InputError, DeviceError, or the signal's reason.
   */
  async similarity(
    queries: TokenVectors | readonly TokenVectors[],
    documents: TokenVectors | readonly TokenVectors[],
    options?: MultiVectorSimilarityOptions | null,
  ): Promise<Tensor<'float32'>> {
    const { signal } = checkNames(`similarity of ${NAME}`, options, ['signal']);
    const columns = this.get_embedding_dimension();
    const [rows, others] = [vectorsOf('queries', queries, columns), vectorsOf('documents', documents, columns)];
    const { session } = this.#parts;
    const scores = await maxSimScores(
      { queries: rows, documents: others, columns },
      { isMean: this.similarity_fn_name === 'meanmaxsim', score: input => session.maxSim(input, signal) },
    );
    return new Tensor('float32', scores, [rows.length, others.length]);
  }

  /**
   * The documents by their score with the query, best first: [{ corpus_id, score, text? }], as the `rank` of a cross-encoder. `truncated`
   * is in the order of `documents`. Throws what `encode_query` and `similarity` throw.
   */
  async rank(
    query: string,
    documents: readonly string[],
    options?: MultiVectorRankOptions | null,
  ): Promise<WithTruncated<RankedDocument[], readonly boolean[]>> {
    const names = ['top_k', 'return_documents', 'signal', 'progress_callback', 'overflow'];
    const { top_k, return_documents, ...more } = checkNames(`rank of ${NAME}`, options, names);
    const texts = listOf('documents', documents, string);
    const topK = count('top_k', top_k, { fallback: texts.length });
    const withText = flag('return_documents', return_documents, false);
    const { progress_callback: _, ...quiet } = more;
    const [queryVectors, vectors] = await Promise.all([
      this.encode_query(string('query', query), quiet),
      this.encode_document(texts, more),
    ]);
    const { data } = await this.similarity(queryVectors, vectors, more.signal && { signal: more.signal });
    const answer = ranked(data, Math.min(topK, texts.length)).map(i => {
      const document = { corpus_id: i, score: data[i]! };
      return withText ? { ...document, text: texts[i]! } : document;
    });
    return withFacts(answer, { truncated: vectors.truncated, tokens: vectors.tokens });
  }

  /** How many columns a vector has. */
  get_embedding_dimension(): number {
    const { session, steps } = this.#parts;
    return steps.reduce((columns, step) => (step.step === 'dense' ? step.outputs : columns), session.config.hiddenSize);
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

  async #encode(
    texts: string | readonly string[],
    options: TextOptions | null | undefined,
    task: EncodeTask,
  ): Promise<WithTruncated<TokenVectors, boolean> | WithTruncated<TokenVectors[], readonly boolean[]>> {
    const { session, layout, steps, rows } = this.#parts;
    const { task: _, ...asked } = taskOptions(NAME, options, task, this.prompts);
    const callOptions = encodeOptions<TextOptions>(NAME, asked, []);
    const list = textList(texts, string);
    const recipe = await recipeOf(layout.settings, callOptions);
    const columns = this.get_embedding_dimension();
    const { results, facts } = await session.compute(
      {
        texts: list,
        recipe: { ...recipe, maxLength: rows.maxLength(task, recipe.maxLength) },
        request: { tokens: steps },
        arrange: encoding => rows.arrange(encoding, task),
        read: (outputs, encoding) => {
          const data = rows.scored(outputOf(outputs, 'token_embeddings'), encoding, { task, columns });
          return new Tensor('float32', data, [data.length / columns, columns]);
        },
      },
      callOptions,
    );
    return Array.isArray(texts) ? withFacts(results, facts) : withFacts(results[0]!, factsOf(facts, 0));
  }
}
