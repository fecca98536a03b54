import { checkNames, listOf, text as string } from '../tasks/arguments.ts';
import type { Crf } from '../tasks/crf.ts';
import {
  classifyTokens,
  type Entity,
  mergeEntities,
  type TokenClassificationOptions,
  type TokenLabels,
  tokenClassificationOptions,
} from '../tasks/token-classification.ts';
import type { Encoding } from '../text/encoding.ts';
import {
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
  tokensOf,
  windowsOf,
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
    const options = checkNames(this.task, given, [
      'aggregation_strategy',
      'ignore_labels',
      'signal',
      ...OVERFLOW_NAMES,
    ]);
    const chosen = tokenClassificationOptions(options);
    const list = listOf('texts', Array.isArray(texts) ? texts : [texts], string);
    const windows: { text: number; encoding: Encoding }[] = [];
    const encodeAll = (text: string) => this.encodeAll(text, undefined, options);
    function* sequences() {
      for (const [text, value] of list.entries()) {
        for (const encoding of encodeAll(value)) {
          windows.push({ text, encoding });
          yield tokensOf(encoding);
        }
      }
    }
    const request = { head: { kind: 'TokenClassification' } } as const;
    const outputs = await this.forward(sequences(), request, options.signal);
    const { text: tokenizer } = this.tokenizer;
    const model: TokenLabels = {
      labels: this.engine.config.labels,
      unkId: tokenizer.special.unk?.id,
      marksSubwords: tokenizer.continuingSubwordPrefix !== undefined,
      join: tokens => tokenizer.joinTokens(tokens),
      crf: this.#crf(),
    };
    const ofText = windowsOf(list.length, windows);
    const results = list.map((value, text) => {
      const mine = ofText[text]!.map(i => ({ encoding: windows[i]!.encoding, out: outputs[i]! }));
      const found = mine.map(({ encoding, out }) => classifyTokens(value, encoding, out.get('logits')!, model, chosen));
      const cut = options.overflow !== 'window' && mine.some(({ encoding }) => encoding.truncated);
      return saying(found.length === 1 ? found[0]! : mergeEntities(found), cut);
    });
    return Array.isArray(texts) ? results : results[0]!;
  }

  /** The transition weights of pytorch-crf, where the checkpoint has them. */
  #crf(): Crf | undefined {
    const [transitions, start_transitions, end_transitions] = CRF_TENSORS.map(name => this.engine.host.get(name));
    if (!transitions || !start_transitions || !end_transitions) return undefined;
    return { transitions, start_transitions, end_transitions };
  }
}
