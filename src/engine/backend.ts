import type { Format } from '../../shaders/matrix.ts';
import type { DeviceError } from '../errors.ts';
import type {
  WeightStore as DeviceWeightStore,
  Flaw,
  LostDeviceError,
  MaxSimInput,
  MeasuredPace,
  Outputs,
  Piece,
  PipelineCache,
} from '../gpu/index.ts';
import type { Batch, Caps, Graph, Plan, Sequence, Sizes, Weight } from '../plan/index.ts';

/**
 * What a model is computed on: a device that was opened for one model, with its weights and executables. The engine knows a device
 * through this interface alone. `openWebGPU` (webgpu-backend.ts) opens the one that pages use; tests/cpu-backend.ts is another.
 *
 * Everything that is under way when the backend is destroyed rejects with the reason given to `destroy`.
 */
export interface Backend {
  /** For people: `google swiftshader`. */
  readonly adapterName: string;
  /** Whether the device was opened by the backend: then `destroy` ends it, and another may replace it after a loss. */
  readonly isOwned: boolean;
  /** The error of an operation that the device refused outside of any pass. Nothing computed since then can be trusted. */
  readonly fault: DeviceError | undefined;
  /** The weights of the model on the device, empty at first. */
  readonly weights: WeightStore;

  /** How this device computes a forward pass. Pure: nothing is made on the device. */
  plan(graph: Graph): Plan;
  /** Compiles the kernels of a plan that are not compiled yet. `onCompiled` is called as each becomes ready. */
  compile(plan: Plan, onCompiled?: (progress: CompileProgress) => void): Promise<void>;
  /** Makes a plan ready to run. Its weights must have been allocated. */
  executable(plan: Plan): Promise<Executable>;

  /**
   * Scores [queries, documents] of texts with several vectors each: the sum over the vectors of a query of the greatest dot product with
   * one of the document. Rejects as an executable's outputs do. Undefined for a WebGPU device: there it is computed by way of `access`.
   */
  readonly maxSim?: ((input: MaxSimInput) => Promise<Float32Array>) | undefined;

  /** Reads the tensors of the weights back. @param signal aborts the reading, which rejects at once with its reason */
  readTensors(signal?: AbortSignal): TensorReader;

  /**
   * The device itself, for what pages load only when they need it: src/training and src/vectors compute with it. Undefined for a backend
   * that is no WebGPU device.
   */
  readonly access?: DeviceAccess | undefined;

  /** Sets who hears what becomes of the device; replaces the listener before. A loss in the past is told soon. */
  listen(listener: BackendListener): void;
  /** Resolves when the reason is known for every operation that the device has refused so far: see `fault`. */
  settled(): Promise<void>;
  /**
   * Why an operation failed with `error`: the loss of the device where that explains it, the reason of `destroy` afterwards, and
   * else `error` itself.
   */
  explain(error: unknown): Promise<unknown>;
  /** Gives back the weights at once, and the device where it is owned. Executables are given back before. Idempotent. */
  destroy(reason: unknown): void;
}

/** A WebGPU device with the weights of one model. */
export interface DeviceAccess {
  readonly device: GPUDevice;
  readonly caps: Caps;
  readonly format: Format;
  readonly weights: DeviceWeightStore;
  readonly pipelines: PipelineCache;
  readonly pacer: MeasuredPace;
  /** Aborts when the backend is destroyed. */
  readonly signal: AbortSignal;
}

export interface BackendListener {
  /** Called once, when the device is lost by no act of this library. */
  lost(error: LostDeviceError): void;
  /** Called for every operation that the device refused outside of any pass, after it became the `fault`. */
  refused(error: DeviceError): void;
}

export interface CompileProgress {
  /** The name of the kernel that has become ready. */
  readonly kernel: string;
  /** How many kernels of the plan are ready, and how many it has. */
  readonly loaded: number;
  readonly total: number;
}

/** The weights of a model on a device, filled piece by piece while the file arrives. */
export interface WeightStore {
  /** Makes room for weights; those that are there already stay. Throws DeviceError where the device has no room for them. */
  allocate(weights: readonly Weight[]): Promise<void>;
  /** Makes ready for pieces of tensors that are there already: the new ones take their place. */
  expect(tensors: readonly string[]): void;
  /** Puts a piece of a tensor into every weight made of it. The bytes may be reused when it resolves. Throws DeviceError. */
  write(piece: Piece): Promise<void>;
  /** Waits until everything written is in place. Gives the first number of each weight that cannot be computed with. */
  finish(): Promise<readonly Flaw[]>;
  /** Gives back weights that nothing reads any more. To be called after `finish`. */
  release(weights: readonly Weight[]): void;
  /** Bytes held now. */
  bytes(): number;
}

/** Reads tensors back from a device, by their canonical names: the numbers of the file, or what has become of them since. */
export interface TensorReader {
  /** Whether a weight is made of the tensor. */
  has(tensor: string): boolean;
  /**
   * Its numbers as float32 in the order of the file, in consecutive pieces, each an array of its own. Throws UnsupportedError where they
   * are kept as q8, DeviceError, or the signal's reason.
   */
  read(tensor: string): AsyncIterable<Float32Array<ArrayBuffer>>;
}

/** A plan made ready on a device. */
export interface Executable {
  readonly plan: Plan;
  /** Begins an empty pass: the function says of one sequence after another whether it still fits. The first one always does. */
  passRoom(): (sequence: Sequence) => boolean;
  /** Makes room for passes of this size ahead of the first one, where the device allows it. */
  reserve(sizes: Sizes): Promise<void>;
  /**
   * Runs one pass. `submitted` settles when the pass has been handed to the device, so that the next one may be packed;
   * `outputs` when its answer has been read. Both reject with DeviceError alone.
   */
  run(batch: Batch): { submitted: Promise<void>; outputs: Promise<Outputs> };
  /** Bytes of activations, inputs and readbacks held now. */
  bytes(): number;
  destroy(): void;
}

/** What a model needs of its backend. */
export interface BackendOptions {
  /** The caller's device. Default: the backend opens one. */
  readonly device: GPUDevice | undefined;
  /** How matrices and the word table are kept. Default: 'f32'. */
  readonly format: Format | undefined;
}

/** Opens a device. Throws DeviceError where there is none. */
export type OpenBackend = (options: BackendOptions) => Promise<Backend>;
