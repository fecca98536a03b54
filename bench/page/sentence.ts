const WORDS =
  'the old river runs past small stone houses where people sit and talk about rain fish bread and the price of land'.split(
    ' ',
  );

/** A sentence of exactly `tokens` tokens, special tokens included: every word here is one token of BERT's vocabulary. */
export function sentence(tokens: number, seed = 0): string {
  return Array.from({ length: tokens - 2 }, (_, i) => WORDS[(i * 7 + seed * 3) % WORDS.length]).join(' ');
}
