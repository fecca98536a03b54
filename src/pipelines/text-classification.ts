import { checkNames, listOf, text as string } from '../tasks/arguments.ts';
import {
  type Classification,
  classificationOptions,
  classify,
  shaped,
  type TextClassificationOptions,
  textInputs,
} from '../tasks/text-classification.ts';
import {
  configuredActivation,
  type RankedDocument,
  rank,
  rankingOptions,
  type TextRankingOptions,
} from '../tasks/text-ranking.ts';
import {
  candidateLabels,
  entailmentIds,
  type ZeroShotOptions,
  type ZeroShotResult,
  zeroShot,
  zeroShotOptions,
} from '../tasks/zero-shot-classification.ts';
import type { Encoding } from '../text/encoding.ts';
import {
  type ByTopK,
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
  tokensOf,
  windowsOf,
} from './session.ts';

const REQUEST = { head: { kind: 'SequenceClassification' } } as const;

/** A text, or a text and its pair. */
export type ClassificationInput = string | { text: string; text_pair?: string | null };

type Options = TextClassificationOptions & RunOptions & OverflowOptions;

/** Texts or pairs -> labels, as transformers.js's TextClassificationPipeline; pairs as Python's. */
export class TextClassification extends Session<'logits'> {
  /**
   * [{ label, score }] of one text, or of each of several with top_k 1 (the default); a list of lists for several texts and
   * another top_k.
   * With overflow 'window' a long text's logits are the means of its windows' logits.
   *
   *   await classifier('I like this!'); // [{ label: 'POSITIVE', score: 0.9998 }]
   *   await classifier({ text: 'a premise', text_pair: 'a hypothesis' }, { top_k: null });
   */
  _call(input: ClassificationInput, options?: Options | null): Promise<Said<Classification[], readonly boolean[]>>;
  _call<K extends number | null | undefined = undefined>(
    inputs: readonly ClassificationInput[],
    options?: (Options & { top_k?: K }) | null,
  ): Promise<Said<ByTopK<K, Classification[], Classification[][]>, readonly boolean[]>>;
  _call(
    inputs: ClassificationInput | readonly ClassificationInput[],
    options?: Options | null,
  ): Promise<Said<Classification[] | Classification[][], readonly boolean[]>>;
  async _call(
    inputs: ClassificationInput | readonly ClassificationInput[],
    given?: Options | null,
  ): Promise<Said<Classification[] | Classification[][], readonly boolean[]>> {
    const options = checkNames(this.task, given, ['top_k', 'function_to_apply', 'signal', ...OVERFLOW_NAMES]);
    const { labels, problemType, raw } = this.engine.config;
    // A reranker's config may name the activation of its one logit.
    const named = labels.length === 1 ? configuredActivation(raw) : undefined;
    const chosen = classificationOptions(
      { ...options, function_to_apply: options.function_to_apply ?? named },
      problemType,
      labels.length,
    );
    const list = textInputs(inputs);
    const windows: { text: number; encoding: Encoding }[] = [];
    const encodeAll = (text: string, pair: string | undefined) => this.encodeAll(text, pair, options);
    function* sequences() {
      for (const [text, { text: value, pair }] of list.entries()) {
        for (const encoding of encodeAll(value, pair)) {
          windows.push({ text, encoding });
          yield tokensOf(encoding);
        }
      }
    }
    const outputs = await this.forward(sequences(), REQUEST, options.signal);
    const ofText = windowsOf(list.length, windows);
    const lists = ofText.map(places => {
      const mine = places.map(i => outputs[i]!.get('logits')!);
      const logits = labels.map((_, i) => mine.reduce((sum, row) => sum + row[i]!, 0) / mine.length);
      return classify(logits, labels, chosen);
    });
    const cut = ofText.map(([first]) => options.overflow !== 'window' && windows[first!]!.encoding.truncated);
    return saying(shaped(lists, Array.isArray(inputs), chosen.topK), cut);
  }
}

/** Texts and labels -> which label fits, by a model of natural language inference; transformers.js's ZeroShotClassificationPipeline. */
export class ZeroShotClassification extends Session<'logits'> {
  /** All pairs of texts and labels run together. Result: { sequence, labels, scores }, likeliest first; a list for a list. */
  _call(
    text: string,
    candidate_labels: string | readonly string[],
    options?: (ZeroShotOptions & RunOptions) | null,
  ): Promise<Said<ZeroShotResult, boolean>>;
  _call(
    texts: readonly string[],
    candidate_labels: string | readonly string[],
    options?: (ZeroShotOptions & RunOptions) | null,
  ): Promise<Said<ZeroShotResult, boolean>[]>;
  _call(
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    options?: (ZeroShotOptions & RunOptions) | null,
  ): Promise<Said<ZeroShotResult, boolean> | Said<ZeroShotResult, boolean>[]>;
  async _call(
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    given?: (ZeroShotOptions & RunOptions) | null,
  ): Promise<Said<ZeroShotResult, boolean> | Said<ZeroShotResult, boolean>[]> {
    const options = checkNames(this.task, given, ['hypothesis_template', 'multi_label', 'signal']);
    const labels = candidateLabels(candidate_labels);
    const { hypotheses, multiLabel } = zeroShotOptions(labels, options);
    const { config } = this.engine;
    const ids = entailmentIds(config.raw.label2id, config.labels);
    const list = listOf('texts', Array.isArray(texts) ? texts : [texts], string);
    const cut: boolean[] = list.map(() => false);
    // The premise gives way, the hypothesis stays whole: Python's only_first.
    const encode = (text: string, pair: string) => this.encode(text, { pair, truncation: 'only_first' });
    function* sequences() {
      for (const [i, text] of list.entries()) {
        for (const hypothesis of hypotheses) {
          const encoding = encode(text, hypothesis);
          cut[i] ||= encoding.truncated;
          yield tokensOf(encoding);
        }
      }
    }
    const rows = (await this.forward(sequences(), REQUEST, options.signal)).map(out => out.get('logits')!);
    const results = list.map((text, i) => {
      const mine = rows.slice(i * labels.length, (i + 1) * labels.length);
      return saying(zeroShot(text, labels, mine, ids, multiLabel), cut[i]!);
    });
    return Array.isArray(texts) ? results : results[0]!;
  }
}

/** A query and documents -> the documents by score, as sentence-transformers' CrossEncoder.rank. */
export class TextRanking extends Session<'logits'> {
  /** [{ corpus_id, score, text? }], best first. `truncated` is in the order of `documents`: of each with the query. */
  async _call(
    query: string,
    documents: readonly string[],
    given?: (TextRankingOptions & RunOptions) | null,
  ): Promise<Said<RankedDocument[], readonly boolean[]>> {
    const options = checkNames(this.task, given, ['top_k', 'return_documents', 'activation', 'signal']);
    const list = listOf('documents', documents, string);
    const question = string('query', query);
    const { raw, labels } = this.engine.config;
    const chosen = rankingOptions(options, raw, labels.length, list.length);
    const cut: boolean[] = [];
    const encode = (pair: string) => this.encode(question, { pair });
    function* sequences() {
      for (const document of list) {
        const encoding = encode(document);
        cut.push(encoding.truncated);
        yield tokensOf(encoding);
      }
    }
    const outputs = await this.forward(sequences(), REQUEST, options.signal);
    const logits = outputs.map(out => out.get('logits')![0]!);
    return saying(rank(logits, list, chosen), cut);
  }
}
