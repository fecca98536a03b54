/**
 * Every kernel, in every shape that the plan may choose for any adapter, against its float64 twin. A float32 sum of n products
 * of size s is off by about n^0.5 2^-24 s, n 2^-24 s at worst; the tolerances are a few times the first and stand beside each op.
 * A file here for each family of kernels; this one loads them all, as the suite `kernels`.
 */
import './kernels/attention.ts';
import './kernels/convolution.ts';
import './kernels/embed.ts';
import './kernels/inspect.ts';
import './kernels/layouts.ts';
import './kernels/linear.ts';
import './kernels/norm.ts';
import './kernels/pack.ts';
import './kernels/place.ts';
import './kernels/pool.ts';
import './kernels/query-key-norm.ts';
import './kernels/rotary.ts';
import './kernels/top-k.ts';
import './kernels/weigh.ts';
