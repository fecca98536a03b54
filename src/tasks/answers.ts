/** What is known of the texts of an answer; of an answer for one text a value, for several a list in their order. */
export interface TextFacts<Truncated extends boolean | readonly boolean[] = boolean | readonly boolean[]> {
  /** Whether the text was cut. */
  readonly truncated: Truncated;
  /**
   * How many tokens were run for the text: what was left of a cut one, with special tokens and the prompt; of a pair both texts; in
   * windows the tokens of all of them.
   */
  readonly tokens: Truncated extends boolean ? number : readonly number[];
}

/** An answer that says whether its text was cut, and how many tokens it had. An answer for several texts says it of each. */
export type WithTruncated<Answer, Truncated extends boolean | readonly boolean[]> = Answer & TextFacts<Truncated>;

/**
 * Adds facts to an answer without changing its shape: the properties are not enumerable, so a copy, a loop or JSON.stringify sees what
 * transformers.js gives.
 */
export function withFacts<Answer extends object, Facts extends object>(answer: Answer, facts: Facts): Answer & Facts {
  for (const [name, value] of Object.entries(facts)) Object.defineProperty(answer, name, { value, enumerable: false });
  return answer as Answer & Facts;
}

/** The facts of text `i` of several. */
export const factsOf = ({ truncated, tokens }: TextFacts<readonly boolean[]>, i: number): TextFacts<boolean> => ({
  truncated: truncated[i]!,
  tokens: tokens[i]!,
});

/**
 * The answer for a `top_k` of the type K: `One` for 1 or none, `Many` for any other number. Either is possible where K is `number`:
 * the compiler does not know its value.
 */
export type ByTopK<K, One, Many> = K extends 1 | undefined ? One : number extends K ? One | Many : Many;
