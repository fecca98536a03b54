import type { Similarity } from '../../engine/index.ts';
import { InputError, wrong } from '../../errors.ts';
import { type FeatureExtractionPipeline, SIMILARITY_FUNCTIONS } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { BaseEvaluator, type EvaluatorInit } from './evaluator.ts';

/** How similar a query and a document are; greater is more similar. */
export type ScoreFunction = (query: Float32Array, document: Float32Array) => number;

/** Something by ids: an object, or a Map. */
export type ById<T> = Readonly<Record<string, T>> | ReadonlyMap<string, T>;

export interface InformationRetrievalEvaluatorInit extends EvaluatorInit {
  /** By their ids. Those without a relevant document are left out. */
  readonly queries: ById<string>;
  /** Documents by their ids. */
  readonly corpus: ById<string>;
  /** The ids of the relevant documents of each query, by its id. */
  readonly relevant_docs: ById<Iterable<string>>;
  /** So many documents are embedded at a time. Default: 50000. */
  readonly corpus_chunk_size?: number | null;
  /** Default: [10]. */
  readonly mrr_at_k?: readonly number[] | null;
  /** Default: [10]. */
  readonly ndcg_at_k?: readonly number[] | null;
  /** Default: [1, 3, 5, 10]. */
  readonly accuracy_at_k?: readonly number[] | null;
  /** Default: [1, 3, 5, 10]. */
  readonly precision_recall_at_k?: readonly number[] | null;
  /** Default: [100]. */
  readonly map_at_k?: readonly number[] | null;
  /** Functions by their names: { cosine: cos_sim }. Default: that of the model. */
  readonly score_functions?: Readonly<Record<string, ScoreFunction>> | null;
  /** Whose ndcg is the primary metric. Default: the greatest. */
  readonly main_score_function?: Similarity | null;
  /** What is put before queries. Default: the checkpoint's prompt "query". */
  readonly query_prompt?: string | null;
  readonly query_prompt_name?: string | null;
  /** What is put before documents. Default: the checkpoint's prompt "document". */
  readonly corpus_prompt?: string | null;
  readonly corpus_prompt_name?: string | null;
}

const NAMES = [
  'queries',
  'corpus',
  'relevant_docs',
  'corpus_chunk_size',
  'mrr_at_k',
  'ndcg_at_k',
  'accuracy_at_k',
  'precision_recall_at_k',
  'map_at_k',
  'score_functions',
  'main_score_function',
  'query_prompt',
  'query_prompt_name',
  'corpus_prompt',
  'corpus_prompt_name',
];

interface Query {
  readonly text: string;
  readonly relevant: ReadonlySet<string>;
}

interface Hit {
  readonly id: string;
  readonly score: number;
}

/**
 * How well an embedder finds documents: for each query the documents of the corpus are put in order, and `cosine_accuracy@1`,
 * `cosine_precision@3`, `cosine_recall@5`, `cosine_ndcg@10`, `cosine_mrr@10`, `cosine_map@100` say how many relevant ones come first, as
 * means over the queries. Of equal scores the lower id comes first. Queries are embedded by `encode_query`, documents by
 * `encode_document`. The primary metric is the ndcg. Source: sentence-transformers 6.2, information_retrieval.py.
 *
 *   const evaluator = new InformationRetrievalEvaluator({ queries, corpus, relevant_docs, name: 'help' });
 *   const metrics = await evaluator(extractor);
 *   metrics['help_cosine_mrr@10'];
 */
export class InformationRetrievalEvaluator extends BaseEvaluator {
  readonly #queries: readonly Query[];
  readonly #corpus: readonly (readonly [id: string, text: string])[];
  readonly #chunk: number;
  readonly #at: Readonly<Record<'mrr' | 'ndcg' | 'accuracy' | 'precisionRecall' | 'map', readonly number[]>>;
  readonly #functions: Readonly<Record<string, ScoreFunction>> | undefined;
  readonly #main: Similarity | undefined;
  readonly #prompts: { readonly query: object; readonly corpus: object };

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for a similarity. */
  constructor(options: InformationRetrievalEvaluatorInit) {
    super(options, NAMES);
    const { given } = this;
    const relevant = new Map(this.#entries('relevant_docs', isIds));
    this.#queries = this.#entries('queries', isText).flatMap(([id, text]) => {
      const own = new Set(relevant.get(id) as Iterable<string> | undefined);
      return own.size > 0 ? [{ text: text as string, relevant: own }] : [];
    });
    this.#corpus = this.#entries('corpus', isText) as [string, string][];
    if (this.#queries.length === 0) {
      throw new InputError({
        what: 'no query has a relevant document',
        expected: 'ids of queries in relevant_docs, with ids of documents',
      });
    }
    this.#chunk = given.count('corpus_chunk_size', 50000);
    this.#at = {
      mrr: this.#counts('mrr_at_k', [10]),
      ndcg: this.#counts('ndcg_at_k', [10]),
      accuracy: this.#counts('accuracy_at_k', [1, 3, 5, 10]),
      precisionRecall: this.#counts('precision_recall_at_k', [1, 3, 5, 10]),
      map: this.#counts('map_at_k', [100]),
    };
    this.#functions = this.#given('score_functions');
    this.#main = this.mainSimilarity('main_score_function');
    this.#checkMain(this.#functions && Object.keys(this.#functions));
    const prompts = (side: string) => ({
      prompt: given.value(`${side}_prompt`),
      prompt_name: given.value(`${side}_prompt_name`),
    });
    this.#prompts = { query: prompts('query'), corpus: prompts('corpus') };
  }

  /** @internal */
  protected override async compute(model: FeatureExtractionPipeline, signal: AbortSignal | undefined) {
    const own = model.similarity_fn_name;
    const functions = this.#functions ?? { [own]: SIMILARITY_FUNCTIONS[own] };
    const names = Object.keys(functions);
    this.#checkMain(names);
    const options = (prompts: object) => ({ ...prompts, ...(signal && { signal }) });
    const texts = this.#queries.map(({ text }) => text);
    const queries = this.rows(await model.encode_query(texts, options(this.#prompts.query)));
    const found = names.map(() => queries.map((): Hit[] => []));
    for (let start = 0; start < this.#corpus.length; start += this.#chunk) {
      const chunk = this.#corpus.slice(start, start + this.#chunk);
      const documents = this.rows(
        await model.encode_document(
          chunk.map(([, text]) => text),
          options(this.#prompts.corpus),
        ),
      );
      signal?.throwIfAborted();
      for (const [f, name] of names.entries()) {
        for (const [q, query] of queries.entries()) {
          found[f]![q] = this.#best(found[f]![q]!, chunk, documents, document => functions[name]!(query, document));
        }
      }
    }
    const scores = found.map(lists => this.#metrics(lists));
    const metrics: Metrics = {};
    for (const [f, name] of names.entries()) {
      for (const [key, value] of Object.entries(scores[f]!)) metrics[`${name}_${key}`] = value;
    }
    const ndcg = `ndcg@${Math.max(...this.#at.ndcg)}`;
    const greatest = scores.reduce((best, each, f) => (each[ndcg]! > scores[best]![ndcg]! ? f : best), 0);
    return { metrics, primary: `${this.#main ?? names[greatest]!}_${ndcg}` };
  }

  /** The best of what was found so far and of more documents, as many as any metric looks at. */
  #best(
    before: readonly Hit[],
    chunk: readonly (readonly [id: string, text: string])[],
    documents: readonly Float32Array[],
    scoreOf: (document: Float32Array) => number,
  ): Hit[] {
    const most = Math.max(...Object.values(this.#at).flat());
    const least = before.length < most ? Number.NEGATIVE_INFINITY : before.at(-1)!.score;
    const hits = [...before];
    for (const [i, document] of documents.entries()) {
      // Float32, as in Python, so that equal embeddings are equally similar.
      const score = Math.fround(scoreOf(document));
      if (score >= least) hits.push({ id: chunk[i]![0], score });
    }
    const byId = (a: string, b: string) => (a < b ? -1 : Number(a > b));
    return hits.sort((a, b) => b.score - a.score || byId(a.id, b.id)).slice(0, most);
  }

  /** The means over the queries, of the documents that were found for each, the best first. */
  #metrics(lists: readonly (readonly Hit[])[]): Metrics {
    const rights = lists.map((hits, q) => hits.map(({ id }) => this.#queries[q]!.relevant.has(id)));
    const counts = this.#queries.map(({ relevant }) => relevant.size);
    const mean = (of: (right: readonly boolean[], relevant: number) => number) =>
      rights.reduce((sum, right, q) => sum + of(right, counts[q]!), 0) / rights.length;
    const hitsIn = (right: readonly boolean[], k: number) => right.slice(0, k).filter(Boolean).length;
    const { accuracy, precisionRecall, ndcg, mrr, map } = this.#at;
    const metrics: Metrics = {};
    for (const k of accuracy) metrics[`accuracy@${k}`] = mean(right => Number(hitsIn(right, k) > 0));
    for (const k of precisionRecall) metrics[`precision@${k}`] = mean(right => hitsIn(right, k) / k);
    for (const k of precisionRecall) metrics[`recall@${k}`] = mean((right, relevant) => hitsIn(right, k) / relevant);
    for (const k of ndcg) {
      metrics[`ndcg@${k}`] = mean(
        (right, relevant) => gain(right, k) / gain(new Array<boolean>(relevant).fill(true), k),
      );
    }
    for (const k of mrr) {
      metrics[`mrr@${k}`] = mean(right => {
        const place = right.slice(0, k).indexOf(true);
        return place < 0 ? 0 : 1 / (place + 1);
      });
    }
    for (const k of map) {
      metrics[`map@${k}`] = mean((right, relevant) => {
        const precisions = right
          .slice(0, k)
          .map((isRight, place) => (isRight ? hitsIn(right, place + 1) / (place + 1) : 0));
        return precisions.reduce((sum, each) => sum + each, 0) / Math.min(k, relevant);
      });
    }
    return metrics;
  }

  /** The entries of a field. Throws InputError where there are none, or a value is wrong. */
  #entries(name: string, isFine: (value: unknown) => boolean): [string, unknown][] {
    const value = this.given.value(name);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    const entries = isObject ? (value instanceof Map ? [...value] : Object.entries(value)) : [];
    if (entries.length > 0 && entries.every(([, each]) => isFine(each))) return entries;
    const what = isFine === isText ? 'texts' : 'lists or Sets of ids';
    throw wrong(name, value, `an object or a Map of ${what} by ids, of at least one`);
  }

  /** A list of whole numbers. Throws InputError. */
  #counts(name: string, fallback: readonly number[]): readonly number[] {
    const value = this.given.value(name) ?? fallback;
    const isFine = Array.isArray(value) && value.length > 0 && value.every(k => Number.isSafeInteger(k) && k >= 1);
    if (isFine) return [...value];
    throw wrong(name, value, 'a list of whole numbers of at least 1');
  }

  #given(name: string): Readonly<Record<string, ScoreFunction>> | undefined {
    const value = this.given.value(name);
    if (value === undefined) return undefined;
    const entries = typeof value === 'object' ? Object.entries(value as object) : [];
    const isFine = entries.length > 0 && entries.every(([, each]) => typeof each === 'function');
    if (isFine) return value as Record<string, ScoreFunction>;
    throw wrong(name, value, 'functions by their names: { cosine: cos_sim }');
  }

  /** Throws InputError where the main function is none of those that are computed. */
  #checkMain(names: readonly string[] | undefined): void {
    if (this.#main === undefined || !names || names.includes(this.#main)) return;
    throw wrong('main_score_function', this.#main, `one of ${names.join(', ')}`);
  }
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isIds = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Symbol.iterator in value &&
  [...(value as Iterable<unknown>)].every(isText);

/** The discounted gain of the first `k`. */
const gain = (right: readonly boolean[], k: number): number =>
  right.slice(0, k).reduce((sum, isRight, place) => sum + Number(isRight) / Math.log2(place + 2), 0);
