import { describe, InputError } from '../errors.ts';
import {
  backward,
  type LabelledSequence,
  type RecordLossSpec,
  recordForm,
  type TrainingGraph,
  trainableForm,
} from '../gradients/index.ts';
import {
  checkSequence,
  type EncoderConfig,
  embeddingColumns,
  encoderGraph,
  type PoolRequest,
  paddingRows,
  preparationsOf,
} from '../model/index.ts';
import {
  CoSENTLoss,
  type EmbedderLoss,
  type EmbeddingLoss,
  isEmbedderLoss,
  MatryoshkaLoss,
  MultipleNegativesRankingLoss,
  noEmbeddingLoss,
} from './embedder-losses.ts';
import type { GraphOptions } from './task.ts';

/** An embedder and its loss: everything that says how a record is labelled, and what the loss is. */
export interface EmbedderTask {
  readonly config: EncoderConfig;
  /** How one row is made of a text: the modules of sentence-transformers. */
  readonly pool: PoolRequest;
  readonly loss: EmbedderLoss;
  /** How many texts each record has. */
  readonly texts: number;
}

/** A text of a record in tokens. */
export interface EmbedderText {
  /** Vocabulary ids, special tokens included. */
  readonly input_ids: readonly number[];
  /** As long as `input_ids`. Default: zeros. */
  readonly token_type_ids?: readonly number[] | undefined;
  /** How many tokens at the start, those of a prompt, are left out of the pooling. Default: 0. */
  readonly unpooled?: number | undefined;
}

/** A record of an embedder in tokens. */
export interface EmbedderExample {
  /** In the order of the columns: two texts that are compared; or anchor, positive, negatives. */
  readonly texts: readonly EmbedderText[];
  /** How similar two texts are to be, where the loss reads it. */
  readonly label?: number | undefined;
}

/** The loss of one length of the embeddings. */
const lossAt = (loss: EmbedderLoss): EmbeddingLoss => (loss instanceof MatryoshkaLoss ? loss.loss : loss);

const isRanking = (loss: EmbedderLoss): boolean => lossAt(loss) instanceof MultipleNegativesRankingLoss;

/**
 * The task of an embedder with a loss. Throws UnsupportedError for what is no loss of embeddings, and InputError where records have a number
 * of texts that the loss does not take, or a length is more than the embedding has.
 */
export function embedderTask(task: EmbedderTask): EmbedderTask {
  const { config, pool, loss, texts } = task;
  if (!isEmbedderLoss(loss)) throw noEmbeddingLoss(loss);
  const { name } = lossAt(loss).constructor;
  if (isRanking(loss) ? texts < 2 : texts !== 2) {
    throw new InputError({
      what: `${name} does not take records of so many texts`,
      actual: String(texts),
      expected: isRanking(loss) ? 'two or more: anchor, positive, negatives' : 'two',
      next: 'Leave out other columns, or take another loss.',
    });
  }
  const columns = embeddingColumns(config.hiddenSize, pool);
  const longest = loss instanceof MatryoshkaLoss ? loss.matryoshka_dims[0]! : columns;
  if (longest > columns) {
    throw new InputError({
      what: 'matryoshka_dims has a length that the embeddings of this model do not have',
      actual: String(longest),
      expected: `at most ${columns}`,
    });
  }
  return { config, pool, loss, texts };
}

/** A whole training step of an embedder as a graph. */
export function embedderGraph(
  { config, pool, loss, texts }: EmbedderTask,
  { trainable, dropout, adapt }: Pick<GraphOptions, 'trainable' | 'dropout' | 'adapt'>,
): TrainingGraph {
  const { matryoshka_dims: columns, matryoshka_weights: weights } =
    loss instanceof MatryoshkaLoss ? loss : { matryoshka_dims: [undefined], matryoshka_weights: [1] };
  const own = lossAt(loss);
  // MatryoshkaLoss scales what it has cut to length 1, whatever the loss compares.
  const isDot = own instanceof MultipleNegativesRankingLoss && own.similarity_fct === 'dot_score';
  const normalize = loss instanceof MatryoshkaLoss || !isDot;
  const form = trainableForm(encoderGraph(config, { pool }), dropout, adapt, preparationsOf(config));
  const { graph, names } = recordForm(form, { output: 'embedding', columns, normalize });
  const losses = names.map((output, i) => ({ ...lossSpec(own), output, texts, weight: weights[i]! }));
  return backward(graph, { losses, trainable, padding: paddingRows(config) });
}

function lossSpec(loss: EmbeddingLoss): Pick<RecordLossSpec, 'kind' | 'factor'> {
  if (loss instanceof MultipleNegativesRankingLoss) return { kind: 'ranking', factor: loss.scale };
  if (loss instanceof CoSENTLoss) return { kind: 'cosent', factor: loss.scale };
  return { kind: 'cosineError' };
}

/**
 * The texts of records as the model reads them, column by column, with the labels at those of the first one: what a micro-batch is made of. A
 * loss that compares records compares those of one micro-batch. Throws InputError where numbers are out of range or a label is none; `name`
 * says which record it is.
 */
export function embedderSequences(
  { config, loss, texts }: EmbedderTask,
  examples: readonly EmbedderExample[],
  name: (index: number) => string = index => `record ${index}`,
): LabelledSequence[] {
  const isRanked = isRanking(loss);
  for (const [i, example] of examples.entries()) {
    if (example.texts.length !== texts) {
      throw new InputError({
        what: `${name(i)} has another number of texts than the first`,
        actual: String(example.texts.length),
        expected: String(texts),
        next: 'Give every record the same columns.',
      });
    }
    if (!isRanked && !Number.isFinite(example.label)) {
      throw new InputError({
        what: `the label of ${name(i)} is none for ${lossAt(loss).constructor.name}`,
        actual: describe(example.label),
        expected: 'a finite number: how similar the two texts are',
        next: 'Correct the record, or leave it out.',
      });
    }
  }
  const column = (at: number) =>
    examples.map(({ texts, label }, i): LabelledSequence => {
      const { input_ids, token_type_ids, unpooled } = texts[at]!;
      const sequence = checkSequence(config, {
        ids: [...input_ids],
        ...(token_type_ids && { types: [...token_type_ids] }),
        ...(unpooled !== undefined && { unpooled }),
      });
      return at > 0 ? sequence : { ...sequence, labels: [isRanked ? i : label!] };
    });
  return Array.from({ length: texts }, (_, at) => column(at)).flat();
}
