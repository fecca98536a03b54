import { type Weight, weightKey } from '../plan/index.ts';

/** The names of the buffers that outlive the passes of a training. */

/** The numbers of shaders/scalars.ts. */
export const SCALARS_STATE = 'scalars';
/** The partial sums of the squares of all gradients. */
export const SQUARES_STATE = 'squares';

/** The scores of every record of a micro-batch against all other texts, and their gradient: as large as the largest one needs. */
export const SCORES_STATE = 'scores';
export const SCORE_GRADIENTS_STATE = 'score gradients';

export const gradientName = (weight: Weight): string => `gradient ${weightKey(plain(weight))}`;
/** The running means of the gradient and of its square. */
export const momentName = (weight: Weight, of: 'm' | 'v'): string => `${of} ${weightKey(plain(weight))}`;
/** Which parts of a table have had a gradient since the training was opened: the marks of segment-sum.ts. */
export const seenName = (weight: Weight): string => `seen ${weightKey(plain(weight))}`;
/** The float32 rows that AdamW changes: those of the model itself, where it keeps them so. */
export const weightName = (weight: Weight): string => `weight ${weightKey(plain(weight))}`;

/** The weight, however it is kept. */
const plain = (weight: Weight): Weight => ({ ...weight, storage: { format: 'f32', texels: false } });
