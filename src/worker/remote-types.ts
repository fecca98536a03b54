import type { PreTrainedModel, PreTrainedTokenizer } from '../api/index.ts';

/**
 * What the page has of an object that lives in the worker: the same members. A method that gives its result at once gives a promise of it
 * instead; whatever gives promises keeps its type as it is, with all overloads and type parameters.
 */
export type Remotely<T> = T extends PreTrainedTokenizer
  ? RemoteTokenizer
  : T extends PreTrainedModel
    ? RemoteModel<T>
    : T extends { _call: infer Call }
      ? Members<T> & Call
      : Members<T>;

/** A model in the worker. It tells events on the page; each of its methods gave a promise before. */
export type RemoteModel<Model = PreTrainedModel> = Pick<PreTrainedModel, keyof PreTrainedModel> &
  (Model extends (...values: infer Values) => infer Result ? (...values: Values) => Result : unknown);

/** A tokenizer in the worker. What lies below it, `text`, is there alone. */
export type RemoteTokenizer = Members<Omit<PreTrainedTokenizer, 'text'>> & Later<PreTrainedTokenizer>;

type Members<T> = { [Name in keyof T]: Member<T[Name]> };

type Member<M> = M extends PreTrainedTokenizer | PreTrainedModel
  ? Remotely<M>
  : M extends (...values: never[]) => infer Result
    ? Result extends Promise<unknown>
      ? M
      : Later<M>
    : M;

type Later<F> = F extends () => infer Result
  ? Parameters<F>['length'] extends 0
    ? () => Promise<Result>
    : Overloads<F>
  : Overloads<F>;

/** Up to six overloads, each with a promise. Where there are fewer, compilers repeat the first, or go on to the next pattern. */
type Overloads<F> = F extends {
  (...values: infer A): infer R1;
  (...values: infer B): infer R2;
  (...values: infer C): infer R3;
  (...values: infer D): infer R4;
  (...values: infer E): infer R5;
  (...values: infer G): infer R6;
}
  ? ((...values: A) => Promise<R1>) &
      ((...values: B) => Promise<R2>) &
      ((...values: C) => Promise<R3>) &
      ((...values: D) => Promise<R4>) &
      ((...values: E) => Promise<R5>) &
      ((...values: G) => Promise<R6>)
  : F extends { (...values: infer A): infer R1; (...values: infer B): infer R2 }
    ? ((...values: A) => Promise<R1>) & ((...values: B) => Promise<R2>)
    : F extends (...values: infer A) => infer R1
      ? (...values: A) => Promise<R1>
      : never;
