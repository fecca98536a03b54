import { InputError, wrong } from '../../errors.ts';
import type { FeatureExtractionPipeline } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { BaseEvaluator, type Evaluator, metricsOf } from './evaluator.ts';

export interface SequentialEvaluatorInit {
  /** The main score of those of the evaluators, which are their primary metrics, or first numbers. Default: the last one. */
  readonly main_score_function?: ((scores: readonly number[]) => number) | null;
}

/**
 * Several evaluators, one after the other: all their metrics, and `sequential_score`, which is the primary one. A Trainer makes one of a list
 * of evaluators. Source: sentence-transformers 6.2, sequential.py.
 */
export class SequentialEvaluator extends BaseEvaluator {
  readonly #evaluators: readonly Evaluator[];
  readonly #mainScore: (scores: readonly number[]) => number;

  /** Throws InputError for what are no evaluators, and for an option that there is not. */
  constructor(evaluators: readonly Evaluator[], options?: SequentialEvaluatorInit | null) {
    super(options, ['main_score_function']);
    const isList =
      Array.isArray(evaluators) && evaluators.length > 0 && evaluators.every(each => typeof each === 'function');
    if (!isList) throw wrong('evaluators', evaluators, 'a list of evaluators, of at least one');
    this.#evaluators = [...evaluators];
    const main = this.given.value('main_score_function') ?? ((scores: readonly number[]) => scores.at(-1)!);
    if (typeof main !== 'function') throw wrong('main_score_function', main, 'a function of a list of scores');
    this.#mainScore = main as (scores: readonly number[]) => number;
  }

  /** @internal */
  protected override async compute(model: FeatureExtractionPipeline, signal: AbortSignal | undefined) {
    const metrics: Metrics = {};
    const scores: number[] = [];
    for (const [i, evaluator] of this.#evaluators.entries()) {
      const own = metricsOf(await evaluator(model, { signal }), `evaluator_${i}`);
      const primary = evaluator instanceof BaseEvaluator ? evaluator.primary_metric : undefined;
      scores.push(own[primary ?? Object.keys(own)[0]!]!);
      const twice = Object.keys(own).find(key => Object.hasOwn(metrics, key));
      if (twice !== undefined) {
        throw new InputError({
          what: 'two evaluators give a metric of one name',
          actual: twice,
          next: 'Give each of them a name: new TripletEvaluator({ …, name: "dev" }).',
        });
      }
      Object.assign(metrics, own);
    }
    return { metrics: { ...metrics, sequential_score: this.#mainScore(scores) }, primary: 'sequential_score' };
  }
}

/** The evaluator of an option that takes one, or a list. Throws InputError for what is none. */
export function evaluatorOf(given: unknown): Evaluator | undefined {
  if (given === undefined || given === null) return undefined;
  if (Array.isArray(given)) return new SequentialEvaluator(given);
  if (typeof given === 'function') return given as Evaluator;
  throw wrong('evaluator', given, 'an evaluator, a list of evaluators, or a function of the model');
}
