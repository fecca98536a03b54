/**
 * What the benchmark uses of jax-js: its package is in bench/node_modules, which only a run of the benchmark fills, so its types are said
 * here. Arrays are counted references: every use of one consumes a reference, and `ref` adds one.
 */

export interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  sum(): JaxArray;
  reshape(shape: number[]): JaxArray;
  /** As in Python's brackets: a number takes one of an axis, `[]` all of it, whole numbers as an array rows in their order. */
  slice(...index: (number | [] | JaxArray)[]): JaxArray;
  /** The numbers, once they are computed. */
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** Arrays by their names. */
export type JaxArrays = Readonly<Record<string, JaxArray>>;

export interface Jax {
  /** The devices that are there now, of those that were asked for. */
  init(...devices: string[]): Promise<string[]>;
  defaultDevice(device: string): string;
  getWebGPUDevice(): GPUDevice;
  /** The function as kernels, which are made for each new list of shapes. */
  jit<Args extends unknown[], Result>(f: (...args: Args) => Result): ((...args: Args) => Result) & { dispose(): void };
  /** The function's value, and its gradient with respect to its first argument. */
  valueAndGrad<First, Rest extends unknown[]>(
    f: (first: First, ...rest: Rest) => JaxArray,
  ): (first: First, ...rest: Rest) => [value: JaxArray, gradient: First];
  readonly numpy: {
    readonly int32: unknown;
    array(numbers: Float32Array | Int32Array | number[], options: { shape: number[]; dtype?: unknown }): JaxArray;
    dot(a: JaxArray, b: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    tanh(x: JaxArray): JaxArray;
    zerosLike(x: JaxArray): JaxArray;
  };
  readonly nn: {
    gelu(x: JaxArray, options: { approximate: boolean }): JaxArray;
    logSoftmax(x: JaxArray): JaxArray;
    oneHot(x: JaxArray, classes: number): JaxArray;
    /** (x - mean) / sqrt(variance + epsilon), along an axis. */
    standardize(x: JaxArray, axis: number, options: { epsilon: number }): JaxArray;
    /** Of query, key and value [batch, tokens, heads, columns]. */
    dotProductAttention(query: JaxArray, key: JaxArray, value: JaxArray): JaxArray;
  };
  readonly tree: {
    ref<Tree>(tree: Tree): Tree;
    dispose(tree: unknown): void;
  };
}

/** What went wrong in jax-js, or without it: nothing of ours. */
export class JaxFailure extends Error {
  override name = 'JaxFailure';
}

/** Longer than any step with the compilation of its kernels: a device that is lost never ends what waits for it. */
const LIMIT_MS = 180_000;

/** What jax-js does; its errors, and its silence, are a JaxFailure. */
export async function ofJax<T>(work: () => T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer for ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  });
  try {
    return await Promise.race([work(), limit]);
  } catch (error) {
    // The text of a shader follows the three lines that say what is wrong with it.
    const lines = String(error).split('\n', 3);
    throw new JaxFailure(lines.map(line => line.trim()).join(' '), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** jax-js on WebGPU. Throws a JaxFailure where the package is not there, and where it finds no device. */
export const openJax = (): Promise<Jax> =>
  ofJax(async () => {
    const jax: Jax = await import(/* @vite-ignore */ `${location.origin}/jax/index.js`);
    const devices = await jax.init('webgpu');
    if (!devices.includes('webgpu')) throw new Error(`it has no webgpu here, only ${devices.join(', ')}`);
    jax.defaultDevice('webgpu');
    return jax;
  });
