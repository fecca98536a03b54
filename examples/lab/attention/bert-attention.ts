/** The file of its own (.cache/lab/bert-attention.js): a page that loads it has <bert-attention>. */
import { defineBertAttention } from './index.ts';

export * from './index.ts';

defineBertAttention();
