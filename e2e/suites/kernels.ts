/**
 * Every kernel, in every shape that the plan may choose for any adapter, against its float64 twin. A float32 sum of n products
 * of size s is off by about n^0.5 2^-24 s, n 2^-24 s at worst; the tolerances are a few times the first and stand beside each op.
 * A file here for each family of kernels; this one loads them all, as the suite `kernels`. Small devices run those that limits change.
 */
import { isSmall } from '../gpu-limits.ts';
import './kernels/linear.ts';
import './kernels/joined-weights.ts';

// The others are the same texts on every device of a browser: see kernels/tiers.ts.
if (!isSmall()) await import('./kernels/of-any-limits.ts');
