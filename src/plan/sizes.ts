/** The numbers that change from pass to pass. */
export interface Sizes {
  /** T: the tokens of all sequences. */
  readonly tokens: number;
  /** B */
  readonly sequences: number;
  /** Work items of attention: tiles of neighbouring queries, of all sequences. */
  readonly tiles: number;
  /** Pairs of tokens of one sequence: the sum of L^2 over the sequences. */
  readonly pairs: number;
  /** Tokens that are picked for a head. */
  readonly masked: number;
  /** Rows of the table of relative distances: 0 in a pass of inference. */
  readonly distances: number;
}
