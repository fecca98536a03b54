import type { PreTrainedTokenizer } from '../api/index.ts';
import { InputError, wrong } from '../errors.ts';
import { checkSeed } from '../random.ts';
import type { Spread } from './course.ts';
import { IGNORED_LABEL, type TrainingExample } from './example.ts';
import { GivenFields } from './given-fields.ts';
import { randomStream } from './random.ts';
import type { TokenizedRecord } from './records.ts';

export interface LanguageModelingOptions {
  readonly tokenizer: PreTrainedTokenizer;
  /** The probability that a token is to be guessed. Default: 0.15. */
  readonly mlm_probability?: number | null;
  /** Whether words are masked whole. Default: false. */
  readonly whole_word_mask?: boolean | null;
  /** Of the tokens to be guessed, the share that becomes [MASK]. Default: 0.8. */
  readonly mask_replace_prob?: number | null;
  /** Of the tokens to be guessed, the share that becomes any token of the vocabulary. Default: 0.1; the rest stays as it is. */
  readonly random_replace_prob?: number | null;
  /** Default: 42. */
  readonly seed?: number | null;
}

const OPTION_NAMES = [
  'tokenizer',
  'mlm_probability',
  'whole_word_mask',
  'mask_replace_prob',
  'random_replace_prob',
  'seed',
] as const satisfies readonly (keyof LanguageModelingOptions)[];

/** Which masks of an example are meant: each epoch has others. */
export interface MaskKey {
  readonly epoch: number;
  /** The place of the record in its data set. */
  readonly index: number;
}

/**
 * Masks tokens for masked language modeling: transformers' DataCollatorForLanguageModeling, without its batches. Every token that is not
 * special is drawn by itself; what is drawn is a function of seed, epoch and the place of the record alone, whatever batch it is in. With
 * whole words, whose first token is drawn for all, 80/10/10 is still drawn token by token, as google-research/bert does.
 */
export class DataCollatorForLanguageModeling {
  readonly mlm_probability: number;
  readonly whole_word_mask: boolean;
  readonly mask_replace_prob: number;
  readonly random_replace_prob: number;
  readonly seed: number;
  readonly #maskId: number;
  readonly #vocabSize: number;

  /** Throws InputError, also for a tokenizer without a mask token. */
  constructor(options: LanguageModelingOptions) {
    const given = new GivenFields('DataCollatorForLanguageModeling', options);
    given.checkNames(OPTION_NAMES);
    const { tokenizer } = options ?? {};
    const share = (name: keyof LanguageModelingOptions, fallback: number) =>
      given.number(name, fallback, { min: 0, max: 1 });
    this.mlm_probability = share('mlm_probability', 0.15);
    this.whole_word_mask = given.flag('whole_word_mask', false);
    this.mask_replace_prob = share('mask_replace_prob', 0.8);
    this.random_replace_prob = share('random_replace_prob', 0.1);
    this.seed = checkSeed('seed', options?.seed ?? 42);
    if (this.mask_replace_prob + this.random_replace_prob > 1 + 1e-9) {
      throw new InputError({
        what: 'mask_replace_prob and random_replace_prob are more than all',
        actual: `${this.mask_replace_prob} and ${this.random_replace_prob}`,
        expected: 'a sum of at most 1',
      });
    }
    if (tokenizer?.text === undefined) throw wrong('tokenizer', tokenizer, 'the tokenizer of the model');
    if (tokenizer.mask_token_id === undefined) {
      const next = 'Take a tokenizer of a model that was pre-trained with masks.';
      throw new InputError({ what: 'the tokenizer has no mask token', next });
    }
    this.#maskId = tokenizer.mask_token_id;
    this.#vocabSize = tokenizer.text.vocabSize;
  }

  /** @internal How many tokens of a record are masked; undefined of one that has labels already. */
  spread({ example, specialTokens, wordStarts }: TokenizedRecord): Spread | undefined {
    if (example.labels !== undefined) return undefined;
    /** The tokens that are drawn together. */
    const groups: number[] = [];
    for (const i of example.input_ids.keys()) {
      if (specialTokens[i]) continue;
      if (groups.length === 0 || !this.whole_word_mask || wordStarts?.[i]) groups.push(1);
      else groups[groups.length - 1]!++;
    }
    const p = this.mlm_probability;
    const sumOf = (power: number) => groups.reduce((sum, count) => sum + count ** power, 0);
    return { mean: p * sumOf(1), variance: p * (1 - p) * sumOf(2) };
  }

  /**
   * The example with masks in its ids, and the tokens themselves as labels where they are to be guessed. One that has labels already is
   * given back. Throws InputError where whole words are asked for and none are known.
   */
  mask({ example, specialTokens, wordStarts }: TokenizedRecord, { epoch, index }: MaskKey): TrainingExample {
    if (example.labels !== undefined) return example;
    if (this.whole_word_mask && wordStarts === undefined) {
      throw new InputError({
        what: `record ${index} has tokens of which no words are known`,
        next: 'Pass texts, or whole_word_mask: false.',
      });
    }
    const stream = randomStream({ seed: this.seed, purpose: 'mask', epoch, index });
    const ids = [...example.input_ids];
    const labels = ids.map(() => IGNORED_LABEL);
    let isChosen = false;
    for (const [i, id] of ids.entries()) {
      if (specialTokens[i]) continue;
      const isDrawn = !this.whole_word_mask || wordStarts![i];
      if (isDrawn) isChosen = stream.uniform() < this.mlm_probability;
      if (!isChosen) continue;
      labels[i] = id;
      const kind = stream.uniform();
      if (kind < this.mask_replace_prob) ids[i] = this.#maskId;
      else if (kind < this.mask_replace_prob + this.random_replace_prob) ids[i] = stream.below(this.#vocabSize);
    }
    return { ...example, input_ids: ids, labels };
  }
}
