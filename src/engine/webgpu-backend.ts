import type { Format } from '../../shaders/matrix.ts';
import type { DeviceError } from '../errors.ts';
import {
  Executable as DeviceExecutable,
  explainError,
  type Gpu,
  type LostDeviceError,
  loadKernel,
  MeasuredPace,
  onLoss,
  openGpu,
  PipelineCache,
  unexpectedError,
  WeightReader,
  WeightStore,
} from '../gpu/index.ts';
import { type Graph, kernelsOf, type Plan, passRoom, plan } from '../plan/index.ts';
import type {
  Backend,
  BackendListener,
  BackendOptions,
  CompileProgress,
  DeviceAccess,
  Executable,
  TensorReader,
} from './backend.ts';

/** Opens the caller's device, or a new one on the best adapter there is. Throws DeviceError. */
export async function openWebGPU({ device, format }: BackendOptions): Promise<WebGPUBackend> {
  return new WebGPUBackend(await openGpu(device), format);
}

/** A WebGPU device with the weights and executables of one model. Compiled pipelines and the pace are shared by all models on it. */
export class WebGPUBackend implements Backend {
  readonly weights: WeightStore;
  fault: DeviceError | undefined;
  readonly #gpu: Gpu;
  readonly #format: Format | undefined;
  readonly #pipelines: PipelineCache;
  /** Aborts when the backend is destroyed, with its reason. */
  readonly #life = new AbortController();
  readonly #endLossWatch: () => void;
  #loss: LostDeviceError | undefined;
  #listener: BackendListener | undefined;
  /** Refused operations whose reason is still being found. */
  readonly #refusals = new Set<Promise<void>>();

  constructor(gpu: Gpu, format: Format | undefined) {
    const { device, owned } = gpu;
    this.#gpu = gpu;
    this.#format = format;
    this.#pipelines = PipelineCache.of(device);
    this.weights = new WeightStore(device, this.#pipelines);
    this.#endLossWatch = onLoss(device, error => {
      this.#loss = error;
      this.#listener?.lost(error);
    });
    // On the caller's device such an error may come from other code. There every pass watches its own operations.
    if (owned) device.addEventListener('uncapturederror', this.#onUncapturedError);
  }

  get adapterName(): string {
    return this.#gpu.adapterName;
  }

  get isOwned(): boolean {
    return this.#gpu.owned;
  }

  get access(): DeviceAccess {
    const { device, caps } = this.#gpu;
    return {
      device,
      caps,
      format: this.#format ?? 'f32',
      weights: this.weights,
      pipelines: this.#pipelines,
      pacer: MeasuredPace.of(device, caps),
      signal: this.#life.signal,
    };
  }

  plan(graph: Graph): Plan {
    return plan(graph, { caps: this.#gpu.caps, format: this.#format });
  }

  async compile(plan: Plan, onCompiled?: (progress: CompileProgress) => void): Promise<void> {
    const kernels = kernelsOf(plan.steps);
    // First, because no weight is complete without this small one. Whoever needs it awaits it.
    this.#pipelines.get(loadKernel()).catch(() => undefined);
    let loaded = 0;
    await Promise.all(
      kernels.map(async kernel => {
        await this.#pipelines.get(kernel);
        loaded++;
        onCompiled?.({ kernel: kernel.name, loaded, total: kernels.length });
      }),
    );
  }

  async executable(plan: Plan): Promise<Executable> {
    const { device, caps } = this.#gpu;
    const { signal } = this.#life;
    signal.throwIfAborted();
    const executable = await DeviceExecutable.create({
      device,
      plan,
      weights: this.weights,
      pipelines: this.#pipelines,
      signal,
      pacer: MeasuredPace.of(device, caps),
    });
    if (signal.aborted) executable.destroy();
    signal.throwIfAborted();
    return {
      plan,
      passRoom: () => passRoom(plan, caps, executable.budget()),
      reserve: sizes => executable.reserve(sizes),
      run: batch => executable.run(batch),
      bytes: () => executable.bytes(),
      destroy: () => executable.destroy(),
    };
  }

  readTensors(signal?: AbortSignal): TensorReader {
    return new WeightReader({ device: this.#gpu.device, weights: this.weights, life: this.#life.signal, signal });
  }

  listen(listener: BackendListener): void {
    this.#listener = listener;
    const loss = this.#loss;
    if (loss) queueMicrotask(() => this.#listener === listener && listener.lost(loss));
  }

  async settled(): Promise<void> {
    await Promise.all(this.#refusals);
  }

  explain(error: unknown): Promise<unknown> {
    return explainError(this.#gpu.device, error, this.#life.signal);
  }

  destroy(reason: unknown): void {
    if (this.#life.signal.aborted) return;
    const { device, owned } = this.#gpu;
    this.#endLossWatch();
    this.#listener = undefined;
    device.removeEventListener('uncapturederror', this.#onUncapturedError);
    this.#life.abort(reason);
    this.weights.destroy();
    if (owned) device.destroy();
  }

  readonly #onUncapturedError = (event: Event): void => {
    const refused = unexpectedError('the GPU refused an operation', (event as GPUUncapturedErrorEvent).error.message);
    // Firefox refuses operations of a lost device before it reports the loss; then the loss is what the listener hears.
    const explaining = this.explain(refused).then(reason => {
      this.#refusals.delete(explaining);
      if (reason !== refused) return;
      this.fault ??= refused;
      this.#listener?.refused(refused);
    });
    this.#refusals.add(explaining);
  };
}
