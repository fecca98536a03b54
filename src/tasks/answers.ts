/** An answer that says whether its text was cut. An answer for several texts says it of each, in their order. */
export type WithTruncated<Answer, Truncated extends boolean | readonly boolean[]> = Answer & {
  readonly truncated: Truncated;
};

/**
 * Adds `truncated` to an answer without changing its shape: the property is not enumerable, so a copy, a loop or JSON.stringify
 * sees what transformers.js gives.
 */
export function withTruncated<Answer extends object, Truncated extends boolean | readonly boolean[]>(
  answer: Answer,
  truncated: Truncated,
): WithTruncated<Answer, Truncated> {
  return Object.defineProperty(answer, 'truncated', { value: truncated, enumerable: false }) as WithTruncated<
    Answer,
    Truncated
  >;
}

/**
 * The answer for a `top_k` of the type K: `One` for 1 or none, `Many` for any other number. Either is possible where K is `number`:
 * the compiler does not know its value.
 */
export type ByTopK<K, One, Many> = K extends 1 | undefined ? One : number extends K ? One | Many : Many;
