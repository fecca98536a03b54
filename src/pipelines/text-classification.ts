import { labelCount, labelNames } from '../model/index.ts';
import {
  type Classification,
  candidateLabels,
  classificationOptions,
  classify,
  configuredActivation,
  entailmentIds,
  listOf,
  lowerCased,
  PROMPT_NAMES,
  type PromptOptions,
  promptOf,
  type RankedDocument,
  rank,
  rankingOptions,
  shaped,
  text as string,
  type TextClassificationOptions,
  type TextRankingOptions,
  textInputs,
  textList,
  type ZeroShotOptions,
  type ZeroShotResult,
  zeroShot,
  zeroShotOptions,
} from '../tasks/index.ts';
import {
  type ByTopK,
  logitsOf,
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
} from './session.ts';

/** A text, or a text and its pair. */
export type ClassificationInput = string | { text: string; text_pair?: string | null };

/** What can be done where a hypothesis alone has more tokens than the model takes. */
const SHORTER = 'Shorten the label or hypothesis_template: of text and hypothesis only the text is cut.';

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
    const options = this.options(given, 'top_k', 'function_to_apply', ...OVERFLOW_NAMES);
    const { problemType, raw } = this.engine.config;
    const labels = labelNames(this.engine.config);
    // A reranker's config may name the activation of its one logit.
    const named = labels.length === 1 ? configuredActivation(raw) : undefined;
    const chosen = classificationOptions(
      { ...options, function_to_apply: options.function_to_apply ?? named },
      problemType,
      labels.length,
    );
    const list = textInputs(inputs);
    const { found, truncated } = await this.forward(
      list,
      ({ text, pair }) => this.encode(text, { ...options, pair }),
      logitsOf,
      options,
    );
    const lists = found.map(windows => {
      const means = labels.map((_, i) => windows.reduce((sum, logits) => sum + logits[i]!, 0) / windows.length);
      return classify(means, labels, chosen);
    });
    return saying(shaped(lists, Array.isArray(inputs), chosen.topK), truncated);
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
    const options = this.options(given, 'hypothesis_template', 'multi_label');
    const labels = candidateLabels(candidate_labels);
    const { hypotheses, multiLabel } = zeroShotOptions(labels, options);
    const { config } = this.engine;
    const ids = entailmentIds(config.raw.label2id, config.labels);
    const list = textList(texts, string);
    const { found, truncated } = await this.forward(
      list,
      // The premise gives way, the hypothesis stays whole: Python's only_first.
      text => hypotheses.flatMap(pair => this.encode(text, { pair, truncation: 'only_first', remedy: SHORTER })),
      logitsOf,
      options,
    );
    const results = list.map((text, i) => saying(zeroShot(text, labels, found[i]!, ids, multiLabel), truncated[i]!));
    return Array.isArray(texts) ? results : results[0]!;
  }
}

/** A query and documents -> the documents by score, as sentence-transformers' CrossEncoder.rank. */
export class TextRanking extends Session<'logits'> {
  /**
   * [{ corpus_id, score, text? }], best first. `truncated` is in the order of `documents`: of each with the query. A prompt (of the
   * call, else the checkpoint's default) stands before the query.
   */
  async _call(
    query: string,
    documents: readonly string[],
    given?: (TextRankingOptions & PromptOptions & RunOptions) | null,
  ): Promise<Said<RankedDocument[], readonly boolean[]>> {
    const options = this.options(given, 'top_k', 'return_documents', 'activation', ...PROMPT_NAMES);
    const list = listOf('documents', documents, string);
    const question = string('query', query);
    const { config } = this.engine;
    const settings = await this.sentence.settings;
    const chosen = rankingOptions(options, config.raw, labelCount(config), list.length, settings.activation);
    const prompt = await promptOf(options, () => this.sentence.settings, true);
    const { maxLength, lowerCase } = settings;
    const read = (text: string) => (lowerCase ? lowerCased(text, this.tokenizer.all_special_tokens) : text);
    const asked = read(prompt + question);
    const encode = (document: string) => this.encode(asked, { pair: read(document), maxLength });
    const { found, truncated } = await this.forward(list, encode, logitsOf, options);
    return saying(
      rank(
        found.map(([logits]) => logits![0]!),
        list,
        chosen,
      ),
      truncated,
    );
  }
}
