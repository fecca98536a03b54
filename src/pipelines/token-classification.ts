import { labelNames } from '../model/config.ts';
import { text as string, textList } from '../tasks/arguments.ts';
import type { Crf } from '../tasks/crf.ts';
import {
  classifyTokens,
  type Entity,
  mergeEntities,
  type TokenClassificationOptions,
  type TokenLabels,
  tokenClassificationOptions,
} from '../tasks/token-classification.ts';
import {
  logitsOf,
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
} from './session.ts';

/** Read to the CPU at load: see Engine.host. */
export const CRF_TENSORS = ['crf.transitions', 'crf.start_transitions', 'crf.end_transitions'] as const;

type Options = TokenClassificationOptions & RunOptions & OverflowOptions;

/** Texts -> entities, as transformers.js's TokenClassificationPipeline, with Python's strategies and character offsets. */
export class TokenClassification extends Session<'logits'> {
  /**
   * [{ entity, score, index, word, start, end }], or groups with an aggregation_strategy; a list of lists for several texts.
   * `text.slice(start, end)` is what an entity stands for.
   *
   *   await ner('Anna lives in Rome.', { aggregation_strategy: 'simple' });
   *   // [{ entity_group: 'PER', score: 0.99, word: 'Anna', start: 0, end: 4 }, ...]
   */
  _call(text: string, options?: Options | null): Promise<Said<Entity[], boolean>>;
  _call(texts: readonly string[], options?: Options | null): Promise<Said<Entity[], boolean>[]>;
  _call(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<Said<Entity[], boolean> | Said<Entity[], boolean>[]>;
  async _call(
    texts: string | readonly string[],
    given?: Options | null,
  ): Promise<Said<Entity[], boolean> | Said<Entity[], boolean>[]> {
    const options = this.options(given, 'aggregation_strategy', 'ignore_labels', ...OVERFLOW_NAMES);
    const chosen = tokenClassificationOptions(options);
    const list = textList(texts, string);
    const { text: tokenizer } = this.tokenizer;
    const model: TokenLabels = {
      labels: labelNames(this.engine.config),
      unkId: tokenizer.special.unk?.id,
      marksSubwords: tokenizer.continuingSubwordPrefix !== undefined,
      join: tokens => tokenizer.joinTokens(tokens),
      crf: this.#crf(),
    };
    const { found, truncated } = await this.forward(
      list,
      text => this.encode(text, options),
      (out, encoding, text) => classifyTokens(text, encoding, logitsOf(out), model, chosen),
      options,
    );
    const results = found.map((windows, i) =>
      saying(windows.length === 1 ? windows[0]! : mergeEntities(windows), truncated[i]!),
    );
    return Array.isArray(texts) ? results : results[0]!;
  }

  /** The transition weights of pytorch-crf, where the checkpoint has them. */
  #crf(): Crf | undefined {
    const [transitions, start_transitions, end_transitions] = CRF_TENSORS.map(name => this.engine.host.get(name));
    if (!transitions || !start_transitions || !end_transitions) return undefined;
    return { transitions, start_transitions, end_transitions };
  }
}
