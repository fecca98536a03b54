/** The kernels whose texts no limit of a device changes. */
import './attention.ts';
import './convolution.ts';
import './embed.ts';
import './inspect.ts';
import './layouts.ts';
import './norm.ts';
import './pack.ts';
import './place.ts';
import './pool.ts';
import './query-key-norm.ts';
import './rotary.ts';
import './top-k.ts';
import './weigh.ts';
