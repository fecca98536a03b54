import { ranked, softmax } from './scores.ts';

export interface Choice {
  /** The choice's place in the list that was given. */
  index: number;
  label: string;
  score: number;
}

/** Choices by probability, likeliest first, from the one logit of each (BertForMultipleChoice). */
export function chosen(logits: ArrayLike<number>, choices: readonly string[]): Choice[] {
  const scores = softmax(logits);
  return ranked(scores).map(index => ({ index, label: choices[index]!, score: scores[index]! }));
}
