import { softmax } from './scores.ts';

export interface NextSentence {
  label: 'IsNext' | 'NotNext';
  score: number;
}

/** Whether the second text follows the first: label 0 of BERT's pre-training (BertForNextSentencePrediction) says it does. */
export function nextSentence(logits: ArrayLike<number>): NextSentence {
  const [follows = 0, other = 0] = softmax(logits);
  return follows >= other ? { label: 'IsNext', score: follows } : { label: 'NotNext', score: other };
}
