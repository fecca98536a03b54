/**
 * What stands at a place where dropout is applied: elements are 0 with `probability`, the others are scaled by 1 / (1 - probability)
 * (Srivastava et al., JMLR 15, 2014). Which ones is a function of the element, the site, the step and the seed (shaders/random.ts), so
 * that the backward pass finds the same ones again and nothing is stored.
 */
export interface Dropout {
  /** Tells the places of a graph apart. */
  readonly site: number;
  readonly probability: number;
}
