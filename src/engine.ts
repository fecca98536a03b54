import { openCheckpoint } from './checkpoint/checkpoint.ts';
import { toFloats } from './checkpoint/floats.ts';
import { matchTensors } from './checkpoint/match.ts';
import { tensorFinder } from './checkpoint/names.ts';
import type { Checkpoint, ModelSource, ProgressCallback, TensorDtype, TensorInfo } from './checkpoint/types.ts';
import { DeviceError } from './errors.ts';
import { type Gpu, openGpu } from './gpu/device.ts';
import { Executable } from './gpu/executable.ts';
import { PipelineCache } from './gpu/pipelines.ts';
import { WeightStore } from './gpu/weights.ts';
import { type EncoderConfig, readConfig } from './model/config.ts';
import { type EncoderRequest, encoderGraph, POOLER_TENSOR } from './model/encoder.ts';
import type { HeadKind } from './model/heads.ts';
import { packBatch, type Sequence } from './plan/batch.ts';
import { passRoom, type SequenceOutputs, splitOutputs } from './plan/passes.ts';
import { kernelsOf, type Plan, plan } from './plan/plan.ts';

export interface EngineOptions {
  device?: GPUDevice | undefined;
  /** What stands on the encoder: its weights are loaded too. */
  head?: HeadKind | undefined;
  /** Tensors to be kept on the CPU too, where the checkpoint has them. */
  host?: readonly string[] | undefined;
  /** What will be asked for first: its kernels are compiled while the weights arrive. Others are compiled when they are asked for. */
  request: (facts: { hasPooler: boolean }) => EncoderRequest;
  progress?: ProgressCallback | undefined;
  signal?: AbortSignal | undefined;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** Called for every sequence, in order, as soon as its pass is done. */
  each: (index: number, outputs: SequenceOutputs) => void;
}

/**
 * A checkpoint on a device: text-free and task-free. Loads the weights while the kernels compile, then runs sequences in
 * passes under a token budget, preparing the next pass while the GPU runs this one.
 */
export class Engine {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly head: HeadKind | undefined;
  /** The tensors that were asked for on the CPU, by their canonical names. */
  readonly host = new Map<string, Float32Array>();
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #weights: WeightStore;
  readonly #executables = new Map<string, Promise<Executable>>();
  #fault: DeviceError | undefined;
  #disposed = false;

  private constructor(gpu: Gpu, config: EncoderConfig, hasPooler: boolean, head: HeadKind | undefined) {
    this.#gpu = gpu;
    this.config = config;
    this.hasPooler = hasPooler;
    this.head = head;
    this.#pipelines = new PipelineCache(gpu.device);
    this.#weights = new WeightStore(gpu.device, this.#pipelines);
    gpu.device.addEventListener('uncapturederror', this.#onError);
    gpu.device.lost.then(
      ({ reason, message }) => {
        if (this.#disposed) return;
        this.#fault = new DeviceError({
          what: 'the GPU device was lost',
          actual: message || reason,
          next: 'Load the model again.',
        });
      },
      () => undefined,
    );
  }

  /**
   * Loads config.json and the weights of `source`. Throws UnsupportedError, CheckpointError, SourceError or DeviceError; after a
   * failure or an abort nothing is left on the device.
   */
  static async load(
    source: ModelSource,
    { device, head, host = [], request, progress, signal }: EngineOptions,
  ): Promise<Engine> {
    const gpuOpening = openGpu(device);
    // Whichever fails first is what the caller hears of; the others must not go unhandled.
    gpuOpening.catch(() => undefined);
    let checkpoint: Checkpoint | undefined;
    let engine: Engine | undefined;
    try {
      const configuring = source.json('config.json').then(readConfig);
      configuring.catch(() => undefined);
      // A device that is not there, or a family that is not built, is known before 90 MB are asked for.
      const gpu = await gpuOpening;
      const config = await configuring;
      checkpoint = await openCheckpoint(source, { signal });
      const find = tensorFinder(checkpoint.tensors, config.modelType);
      engine = new Engine(gpu, config, find(POOLER_TENSOR) !== undefined, head);
      const wanted = request({ hasPooler: engine.hasPooler });
      await engine.#fill(checkpoint, find, host, wanted, source.name, progress, signal);
      return engine;
    } catch (error) {
      await checkpoint?.cancel();
      if (engine) engine.dispose();
      else void gpuOpening.then(({ device, owned }) => owned && device.destroy()).catch(() => undefined);
      signal?.throwIfAborted();
      throw error;
    }
  }

  get adapterName(): string {
    return this.#gpu.adapterName;
  }

  /** Bytes held on the GPU now. */
  async bytes(): Promise<{ weights: number; activations: number }> {
    if (this.#disposed) return { weights: 0, activations: 0 };
    const executables = await Promise.all(this.#executables.values());
    return { weights: this.#weights.bytes, activations: executables.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /**
   * Runs sequences, taken from the iterable only as they are needed: while the GPU computes a pass, the next one is tokenised.
   * Rejects with the signal's reason, DeviceError, or whatever the iterable throws; passes that are done have been reported.
   */
  async run(sequences: Iterable<Sequence>, request: EncoderRequest, { signal, each }: RunOptions): Promise<void> {
    this.#check(signal);
    const executable = await this.#executable(request);
    const source = sequences[Symbol.iterator]();
    let pending = source.next();
    let index = 0;
    const underWay: Promise<void>[] = [];
    try {
      while (!pending.done) {
        const pass: Sequence[] = [];
        const room = passRoom(executable.plan, this.#gpu.caps);
        while (!pending.done && room(pending.value)) {
          pass.push(pending.value);
          pending = source.next();
        }
        this.#check(signal);
        const first = index;
        index += pass.length;
        const { submitted, outputs } = executable.run(packBatch(pass, executable.plan.queryTile));
        const told = outputs.then(all => {
          this.#check(signal);
          splitOutputs(executable.plan, pass, all).forEach((mine, i) => {
            each(first + i, mine);
          });
        });
        told.catch(() => undefined);
        underWay.push(told);
        await submitted;
        // Two at once: one computes, the other waits its turn; then the oldest is awaited, so that no queue builds up.
        if (underWay.length > 1) await underWay.shift();
      }
      for (const told of underWay) await told;
    } catch (error) {
      // What the pass failed of, where that is known: its buffers just say that they are gone.
      this.#check(signal);
      throw error;
    }
  }

  /** Gives back everything on the GPU; the device too, unless it was the caller's. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#gpu.device.removeEventListener('uncapturederror', this.#onError);
    for (const executable of this.#executables.values())
      executable.then(
        e => e.destroy(),
        () => undefined,
      );
    this.#weights.destroy();
    if (this.#gpu.owned) this.#gpu.device.destroy();
  }

  readonly #onError = (event: Event): void => {
    const { message } = (event as GPUUncapturedErrorEvent).error;
    this.#fault ??= new DeviceError({
      what: 'the GPU refused an operation',
      actual: message,
      next: 'Please report this with the name of the browser and of the graphics adapter.',
    });
  };

  #check(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#disposed) throw new DeviceError({ what: 'the model was disposed', next: 'Load it again.' });
    if (this.#fault) throw this.#fault;
  }

  async #fill(
    checkpoint: Checkpoint,
    find: (canonical: string) => TensorInfo | undefined,
    host: readonly string[],
    request: EncoderRequest,
    name: string,
    progress: ProgressCallback | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { device } = this.#gpu;
    // All weights, so that a later request finds them; only the kernels of the first.
    const { weights } = this.#plan({
      lastHiddenState: true,
      pooler: this.hasPooler,
      ...(this.head && { head: { kind: this.head } }),
    });
    const canonical = matchTensors(
      weights.flatMap(({ parts }) => parts),
      find,
    );
    device.pushErrorScope('out-of-memory');
    this.#weights.allocate(weights);
    const full = await device.popErrorScope();
    if (full) {
      throw new DeviceError({
        what: 'the weights do not fit into the memory of the GPU',
        actual: `${this.#weights.bytes} bytes asked for (${full.message})`,
        next: 'Dispose other models, or use a smaller one.',
      });
    }
    const kernels = kernelsOf(this.#plan(request).steps);
    let compiled = 0;
    const compiling = Promise.all(
      kernels.map(async kernel => {
        await this.#pipelines.get(kernel);
        compiled++;
        progress?.({
          status: 'compile',
          name,
          file: kernel.name,
          progress: (100 * compiled) / kernels.length,
          loaded: compiled,
          total: kernels.length,
        });
      }),
    );
    compiling.catch(() => undefined);
    const total = [...canonical.keys()].reduce(
      (sum, tensor) => sum + (checkpoint.tensors.get(tensor)?.byteLength ?? 0),
      0,
    );
    const kept = new Map(
      host.flatMap(wanted => {
        const info = find(wanted);
        return info ? [[info.name, { wanted, bytes: new Uint8Array(info.byteLength) }]] : [];
      }),
    );
    let loaded = 0;
    let percent = -1;
    for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
      signal?.throwIfAborted();
      if (this.#fault) throw this.#fault;
      kept.get(tensor.name)?.bytes.set(bytes, begin);
      const names = canonical.get(tensor.name);
      if (!names) continue;
      const stored = tensor.dtype as TensorDtype;
      for (const to of names) {
        await this.#weights.write({ tensor: to, stored, begin, bytes: bytes as Uint8Array<ArrayBuffer> });
      }
      loaded += bytes.length;
      const now = Math.floor((100 * loaded) / total);
      if (now === percent) continue;
      percent = now;
      progress?.({ status: 'upload', name, file: tensor.file, progress: (100 * loaded) / total, loaded, total });
    }
    this.#weights.finish();
    for (const [tensor, { wanted, bytes }] of kept) {
      this.host.set(wanted, toFloats(bytes, checkpoint.tensors.get(tensor)!.dtype as TensorDtype));
    }
    await compiling;
    const executable = await this.#executable(request);
    // The first call needs nothing new, unless it is long.
    await executable.reserve({
      tokens: 256,
      sequences: 16,
      tiles: 64,
      pairs: request.attentions ? 4096 : 16,
      masked: 16,
    });
    signal?.throwIfAborted();
  }

  #plan(request: EncoderRequest): Plan {
    const { caps } = this.#gpu;
    return plan(encoderGraph(this.config, request, caps), caps);
  }

  #executable(request: EncoderRequest): Promise<Executable> {
    const key = JSON.stringify(request);
    let executable = this.#executables.get(key);
    if (!executable) {
      executable = Executable.create(this.#gpu.device, this.#plan(request), this.#weights, this.#pipelines);
      this.#executables.set(key, executable);
      executable.catch(() => this.#executables.delete(key));
    }
    return executable;
  }
}
