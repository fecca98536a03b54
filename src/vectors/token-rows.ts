import type { PreTrainedTokenizer } from '../api/index.ts';
import { CheckpointError, UnsupportedError } from '../errors.ts';
import { type EncoderConfig, positionsOf } from '../model/index.ts';
import type { Encoding } from '../text/index.ts';
import type { Expansion } from './late-interaction.ts';
import type { MultiVectorLayout } from './multi-vector-layout.ts';
import type { EncodeTask } from './router.ts';
import type { EncodedText } from './text-session.ts';

type Layout = Pick<MultiVectorLayout, 'queryLength' | 'documentLength' | 'expansion' | 'mask'>;

/** Which tokens of a text the model computes, and which of their rows are vectors of the text. */
export class TokenRows {
  readonly #layout: Layout;
  readonly #config: EncoderConfig;
  /** The id of the token that queries are filled up with. */
  readonly #filler: number | undefined;
  readonly #skipped: ReadonlySet<number>;
  readonly #kept: ReadonlySet<number> | undefined;

  /** Throws UnsupportedError or CheckpointError where queries are to be filled up and cannot be. */
  constructor(layout: Layout, tokenizer: PreTrainedTokenizer, config: EncoderConfig) {
    const { expansion, mask } = layout;
    this.#layout = layout;
    this.#config = config;
    if (expansion) checkLength(expansion, config);
    this.#filler = expansion && fillerOf(expansion, tokenizer);
    if (expansion && !expansion.attend) refuseOthers(config);
    const { unk } = tokenizer.text.special;
    // A word that is no token is left out of the list: the unknown token stands for others, too.
    const ids = (mask?.skipped ?? []).flatMap(word => {
      const id = tokenizer.text.tokenToId(word);
      return id === undefined || (id === unk?.id && word !== unk.token) ? [] : [id];
    });
    this.#skipped = new Set(ids);
    this.#kept = mask?.kept && new Set(mask.kept);
  }

  /** The most tokens of a text for this task. @param usual that of the tokenizer; undefined: its own */
  maxLength(task: EncodeTask, usual: number | undefined): number | undefined {
    const { queryLength, documentLength, expansion } = this.#layout;
    if (task === 'document') return documentLength ?? usual;
    if (expansion?.cuts) return expansion.length;
    return queryLength === undefined ? usual : Math.max(queryLength, expansion?.length ?? 0);
  }

  /**
   * A query filled up to its length. Where the tokens of the text do not attend to those that are filled in, these come first in the
   * pass, so that the keys of all are the tokens behind them; their positions are those behind the text all the same.
   */
  arrange(encoding: Encoding, task: EncodeTask): EncodedText {
    const { expansion } = this.#layout;
    const { length } = encoding.ids;
    if (task !== 'query' || !expansion || length >= expansion.length) return encoding;
    const fillers = expansion.length - length;
    const fill = <T>(list: readonly T[], filler: T): T[] => [...list, ...Array.from({ length: fillers }, () => filler)];
    const filled = {
      ...encoding,
      ids: fill(encoding.ids, this.#filler!),
      typeIds: fill(encoding.typeIds, 0),
      tokens: fill(encoding.tokens, '[MASK]'),
      fillers,
    };
    if (expansion.attend) return filled;
    const window = this.#config.attentions.find(({ window = Infinity }) => window < expansion.length - 1)?.window;
    if (window !== undefined) {
      throw new UnsupportedError({
        what: 'queries cannot be filled up beyond the window of an attention layer',
        actual: `${expansion.length} tokens`,
        supported: [`${window + 1} tokens`],
      });
    }
    const turned = <T>(list: readonly T[]): T[] => [...list.slice(length), ...list.slice(0, length)];
    return {
      ...filled,
      ids: turned(filled.ids),
      typeIds: turned(filled.typeIds),
      tokens: turned(filled.tokens),
      positions: turned(positionsOf(this.#config, filled.ids)),
      places: turned([...filled.ids.keys()]),
      unattended: fillers,
    };
  }

  /** The rows [., columns] of a text that are its vectors, in the order of its tokens; those that are filled in come last. A copy. */
  scored(
    rows: Float32Array,
    { ids, fillers = 0, unattended = 0 }: EncodedText,
    { task, columns }: { task: EncodeTask; columns: number },
  ): Float32Array<ArrayBuffer> {
    const { mask } = this.#layout;
    const natural = [...ids.keys()].map(i => (i + unattended) % ids.length);
    const real = ids.length - fillers;
    const isSkipping = mask?.tasks.includes(task) === true;
    const places = natural.filter((at, i) => {
      const id = ids[at]!;
      // Without a mask the tokens that are filled in are padding.
      if (i >= real && !mask) return false;
      if (isSkipping && this.#skipped.has(id)) return false;
      return task === 'query' || !this.#kept || this.#kept.has(id);
    });
    const data = new Float32Array(places.length * columns);
    for (const [to, from] of places.entries())
      data.set(rows.subarray(from * columns, (from + 1) * columns), to * columns);
    return data;
  }
}

/** No query is longer, whatever a file says: a model without a table of positions has no limit of its own. */
const MOST_TOKENS = 2 ** 17;

function checkLength({ length }: Expansion, { maxPositions }: EncoderConfig): void {
  const limit = Math.min(maxPositions, MOST_TOKENS);
  if (length <= limit) return;
  throw new CheckpointError({
    what: 'queries are to be filled up to more tokens than the model takes',
    actual: `${length} tokens (query_expansion.length of sentence_bert_config.json, or query_length of an older file)`,
    expected: `at most ${limit}`,
    next: 'Correct the length in a copy of the file.',
  });
}

/**
 * What Python computes, of a family, for tokens that are not attended to; of all others, what it computes for any token. Found by running
 * transformers 5.24. modeling_deberta*.py: get_attention_mask; modeling_esm.py: EsmEmbeddings.
 */
const OTHER_FILLERS: Readonly<Record<string, string>> = {
  deberta: 'begin with zeros, and attend to all tokens alike',
  'deberta-v2': 'begin with zeros, and attend to all tokens alike',
  esm: 'begin with zeros, and count as masks',
};

/**
 * Refuses models whose rows of tokens that nobody attends to would not be Python's. Such tokens stand before the text here: a convolution
 * over the tokens reads neighbours whether or not they are attended to, and would read others.
 */
function refuseOthers({ modelType, convolution, spanConvolution, hasTrigrams }: EncoderConfig): void {
  const refuse = (where: string, actual: string, model: string) => {
    throw new UnsupportedError({
      what: `queries cannot be filled up with tokens that are not attended to where ${where}`,
      actual,
      supported: ['query_expansion.attend true', 'no query_expansion', `a model ${model}`],
    });
  };
  const width = (convolution ?? spanConvolution)?.width;
  if (width !== undefined || hasTrigrams) {
    const actual = hasTrigrams ? 'trigram_input true' : `conv_kernel_size ${width}`;
    refuse('the model has a convolution over the tokens', actual, 'without such a convolution');
  }
  const other = Object.hasOwn(OTHER_FILLERS, modelType) ? OTHER_FILLERS[modelType] : undefined;
  if (other !== undefined) refuse(`such tokens ${other}`, `model_type ${modelType}`, 'of another family');
}

function fillerOf({ token }: Expansion, tokenizer: PreTrainedTokenizer): number {
  if (tokenizer.padding_side === 'left') {
    throw new UnsupportedError({
      what: 'queries cannot be filled up by a tokenizer that pads on the left',
      actual: 'padding_side "left"',
      supported: ['padding_side "right"'],
    });
  }
  const id = token === undefined ? tokenizer.mask_token_id : tokenizer.text.tokenToId(token);
  if (id !== undefined) return id;
  throw new CheckpointError({
    what: 'the token that queries are filled up with is not in the vocabulary',
    actual: token ?? 'no mask token',
    next: 'Name one as `query_expansion.token` in a copy of sentence_bert_config.json.',
  });
}
