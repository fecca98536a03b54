import type { ModelSource } from '../src/checkpoint/source/index.ts';
import { openSentence } from '../src/engine/index.ts';
import { NO_DROPOUT } from '../src/gradients/index.ts';
import type { EncoderConfig, PoolRequest } from '../src/model/index.ts';
import {
  CoSENTLoss,
  CosineSimilarityLoss,
  type EmbedderLoss,
  type EmbeddingLoss,
  MatryoshkaLoss,
  type MatryoshkaLossInit,
  MultipleNegativesRankingLoss,
} from '../src/training/embedder-losses.ts';
import { type EmbedderExample, embedderGraph, embedderSequences, embedderTask } from '../src/training/embedder-task.ts';

/** Training runs of embedders by sentence-transformers (tests/fixtures/embedder-training), for the interpreter and for devices. */

interface LossDescription {
  readonly name: string;
  readonly options: object;
  readonly loss?: LossDescription;
}

export interface EmbedderFixture {
  /** A folder of tests/fixtures/sentence, and that of tests/fixtures/random with its weights; none where it has its own. */
  readonly model: string;
  readonly weights: string | null;
  readonly loss: LossDescription;
  readonly args: Readonly<Record<string, number>>;
  readonly data: readonly EmbedderExample[];
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  /** Some numbers of the gradient of every parameter: see `kept`. */
  readonly first_gradients: Readonly<Record<string, readonly number[]>>;
  /** Of the embedding of the first text after the run. */
  readonly after: readonly number[];
}

/** The numbers of a tensor that the fixtures keep. */
export const kept = (numbers: ArrayLike<number>): number[] => {
  const stride = Math.max(1, Math.floor(numbers.length / 24));
  return Array.from({ length: Math.ceil(numbers.length / stride) }, (_, i) => numbers[i * stride]!);
};

const LOSSES: Readonly<Record<string, (options: object) => EmbeddingLoss>> = {
  MultipleNegativesRankingLoss: options => new MultipleNegativesRankingLoss(options),
  CosineSimilarityLoss: () => new CosineSimilarityLoss(),
  CoSENTLoss: options => new CoSENTLoss(options),
};

function makeLoss({ name, options, loss }: LossDescription): EmbedderLoss {
  if (!loss) return LOSSES[name]!(options);
  return new MatryoshkaLoss({ ...options, loss: makeLoss(loss) } as MatryoshkaLossInit);
}

/** The modules of a fixture's embedder. */
export async function modulesOf(source: ModelSource) {
  const modules = await openSentence(source).modules;
  if (!modules) throw new Error('no modules');
  return modules;
}

/** A fixture's step as a graph, and the micro-batches of each step. */
export function fixtureEmbedder(config: EncoderConfig, pool: PoolRequest, fixture: EmbedderFixture) {
  const { args, data } = fixture;
  const task = embedderTask({ config, pool, loss: makeLoss(fixture.loss), texts: data[0]!.texts.length });
  const graph = embedderGraph(task, { trainable: () => true, dropout: NO_DROPOUT });
  const [micro, parts] = [args.per_device_train_batch_size!, args.gradient_accumulation_steps!];
  const batchesOf = (step: number) =>
    Array.from({ length: parts }, (_, part) => {
      const at = (step * parts + part) * micro;
      return embedderSequences(task, data.slice(at, at + micro));
    });
  return { task, graph, batchesOf };
}

/** What the parameters of a file are called in a fixture: those of modules have their canonical name. */
export const fixtureName = (canonical: string, inFile: string): string =>
  canonical.startsWith('sentence.') ? canonical : inFile;
