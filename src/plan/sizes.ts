/** The numbers that change from pass to pass. */
export interface Sizes {
  /** T: the tokens of all sequences. */
  readonly tokens: number;
  /** B */
  readonly sequences: number;
  /** Work items of attention: query tiles of all sequences. */
  readonly tiles: number;
  /** The sum of L^2 over the sequences. */
  readonly pairs: number;
  /** Tokens that a head is wanted for alone. */
  readonly masked: number;
}
