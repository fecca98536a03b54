import type { AttentionShape } from '../../shaders/attention.ts';
import type { Target, TextureKind } from '../../shaders/kernel.ts';
import type { RowShape } from '../../shaders/snippets.ts';
import { fitted, type Tiling } from '../../shaders/tiling.ts';
import type { AdapterKind, Caps } from './caps.ts';

/** What one op costs, as far as an adapter decides it; see work.ts. The unit is the multiply-add of a linear. */
export interface Costs {
  /** A float that is read or written. */
  readonly movedFloat: number;
  /** What the softmax adds for a pair of tokens in one head: a maximum, an exponential, a sum. */
  readonly softmax: number;
  /** Weights of bytes: four products cost one multiply-add. */
  readonly fourBytesAtOnce: boolean;
}

/** What was chosen for a kind of adapter. */
interface Choices {
  /** LayerNorm, of embed too. */
  readonly norm: RowShape;
  /** By the size of a head. */
  readonly attention: (headSize: number) => AttentionShape;
  readonly tiling: Tiling;
  /**
   * Whether all linears of a format share one text, with K, N and the activation as params. Otherwise each shape has a text of its own,
   * in which they are constants.
   */
  readonly sharedLinears: boolean;
  /** What operands are read as, where they are not read from storage buffers. */
  readonly texture: TextureKind | undefined;
  /** Whether dot4I8Packed is used where the language has it. */
  readonly dot4I8: boolean;
  readonly costs: Costs;
  /** Tokens of a pass. */
  readonly passTokens: number;
  /** The multiply-adds of a submit. Where `measuresSpeed`, those of the first submit; the time of each decides about the next. */
  readonly submitWork: number;
  readonly measuresSpeed: boolean;
}

/** What was chosen for a device. */
export interface Profile extends Omit<Choices, 'texture' | 'dot4I8'> {
  readonly target: Target;
}

/** A CPU spends nearly all of its time on multiply-adds. */
const CPU_COSTS: Costs = { movedFloat: 0, softmax: 0, fourBytesAtOnce: true };

/**
 * The choices for each kind of adapter: the only place in the library that asks which one it is. Those for software adapters are
 * measured (docs/performance.md). They run on the CPU: a load costs as much as 10 to 20 multiply-adds, a barrier far more, and kernels
 * compile slowly, one after the other.
 */
const PROFILES: Readonly<Record<AdapterKind, Choices>> = {
  gpu: {
    // 64 invocations share a row, so that neighbours read neighbouring vec4f.
    norm: { lanes: 64, rows: 1 },
    // One query for each invocation; the 64 of a workgroup share the keys, as long as eight keys and values fit into its memory.
    attention: headSize => ({ lanes: 64, queries: 1, shared: headSize <= 256 }),
    // 64 x 64 outputs a workgroup. Others (bench/page/candidates.ts) are timed by `npm run bench:node`.
    tiling: { kind: 'workgroup', rows: 4, columns: 4, lanes: 16, down: 16 },
    sharedLinears: false,
    texture: undefined,
    dot4I8: true,
    // From integrated GPUs to the largest, memory moves one float in the time of 10 to 20 multiply-adds.
    costs: { movedFloat: 16, softmax: 16, fourBytesAtOnce: false },
    // Enough to fill a GPU.
    passTokens: 8192,
    // 2 GFLOP: 0.2 s on the weakest GPUs (10 GFLOP/s).
    submitWork: 2 ** 30,
    measuresSpeed: true,
  },
  swiftshader: {
    norm: { lanes: 1, rows: 4 },
    // Every key that is loaded serves several queries.
    attention: headSize => ({ lanes: 4, queries: headSize <= 64 ? 4 : 2, shared: false }),
    tiling: { kind: 'register', rows: 16, columns: 16, lanes: 4 },
    sharedLinears: true,
    texture: 'sampled',
    // It takes three times as long as floats do.
    dot4I8: false,
    costs: CPU_COSTS,
    passTokens: 1024,
    // A few seconds on a CPU (1 to 8 GFLOP/s), where no driver is reset. For MiniLM it is 400 tokens.
    submitWork: 2 ** 32,
    measuresSpeed: false,
  },
  llvmpipe: {
    norm: { lanes: 1, rows: 8 },
    attention: () => ({ lanes: 8, queries: 2, shared: false }),
    tiling: { kind: 'register', rows: 16, columns: 8, lanes: 8 },
    sharedLinears: true,
    // The levels of a sampled texture, looked up in each invocation, take twice as long as the load itself.
    texture: 'storage',
    dot4I8: true,
    costs: CPU_COSTS,
    passTokens: 1024,
    submitWork: 2 ** 32,
    measuresSpeed: false,
  },
};

const profiles = new WeakMap<Caps, Profile>();

/** What is chosen for a device. The same object for the same `caps`: kernels are remembered by it (choose.ts). */
export function profileOf(caps: Caps): Profile {
  const made = profiles.get(caps);
  if (made) return made;
  const { texture, dot4I8, ...choices } = PROFILES[caps.adapter];
  const profile: Profile = {
    ...choices,
    tiling: fitted(choices.tiling, caps.maxInvocations),
    target: {
      texture: texture === 'storage' && !caps.storageTextures ? 'sampled' : texture,
      subgroup: caps.subgroup,
      f16: caps.f16,
      dot4I8: dot4I8 && caps.dot4I8,
    },
  };
  profiles.set(caps, profile);
  return profile;
}
