import { type TensorDtype, toFloats } from '../src/checkpoint/file/index.ts';
import type { Backend, BackendListener, CompileProgress, Executable, WeightStore } from '../src/engine/backend.ts';
import {
  disposedError,
  type Flaw,
  LostDeviceError,
  type MaxSimInput,
  type Outputs,
  type Piece,
} from '../src/gpu/index.ts';
import type { TrainingGraph, UpdateOptions, WeightMerge } from '../src/gradients/index.ts';
import { type Batch, type Graph, type Plan, plan, type Sequence, type Weight } from '../src/plan/index.ts';
import type { TrainingSession } from '../src/training/session.ts';
import { GPU } from './caps.ts';
import { cpuTraining, mergeOnCpu } from './cpu-training.ts';
import { Run } from './interpreter.ts';
import { maxSim } from './reference.ts';

/**
 * A backend without a GPU: the interpreter's float64 on the CPU. With it an engine, and all pipelines on it, run whole checkpoints in
 * Node. Everything happens at once, so there is nothing to compile, and nothing can be refused.
 */

/** A pass holds at most so many sequences: few, so that a test with a few texts has several passes. */
const MAX_SEQUENCES = 3;

export class CPUBackend implements Backend {
  readonly adapterName = 'interpreter';
  readonly isOwned = true;
  readonly fault = undefined;
  readonly weights = new CPUWeights();
  /** How many sequences each pass had. */
  readonly passes: number[] = [];
  readonly #graphs = new WeakMap<Plan, Graph>();
  #listener: BackendListener | undefined;
  #end: { reason: unknown } | undefined;

  get isDestroyed(): boolean {
    return this.#end !== undefined;
  }

  /** For some adapter: the interpreter runs the graph, and the engine reads nothing of a plan that depends on the adapter. */
  plan(graph: Graph): Plan {
    const planned = plan(graph, { caps: GPU });
    this.#graphs.set(planned, graph);
    return planned;
  }

  async compile(_: Plan, onCompiled?: (progress: CompileProgress) => void): Promise<void> {
    onCompiled?.({ kernel: 'interpreter', loaded: 1, total: 1 });
  }

  async executable(plan: Plan): Promise<Executable> {
    if (this.#end) throw this.#end.reason;
    const graph = this.#graphs.get(plan)!;
    // Tables of this size are in no slices, so the outputs of a plan are those of its graph.
    if (plan.outputs.length !== graph.outputs.length) throw new Error('an output is in slices');
    let isDestroyed = false;
    const compute = async (batch: Batch): Promise<Outputs> => {
      if (this.#end) throw this.#end.reason;
      if (isDestroyed) throw disposedError();
      const sequences = unpacked(batch);
      this.passes.push(sequences.length);
      const run = new Run(tensor => this.weights.tensor(tensor), sequences);
      for (const op of graph.ops) run.compute(op);
      return graph.outputs.map(({ value }) => Float32Array.from(run.get(value).data));
    };
    return {
      plan,
      passRoom: () => {
        let count = 0;
        return () => ++count <= MAX_SEQUENCES;
      },
      reserve: async () => undefined,
      run: batch => ({ submitted: Promise.resolve(), outputs: compute(batch) }),
      bytes: () => 0,
      destroy: () => {
        isDestroyed = true;
      },
    };
  }

  /** As src/training/session.ts opens a training of a device. */
  async openTraining(
    graph: TrainingGraph,
    update: UpdateOptions,
    merges: readonly WeightMerge[],
  ): Promise<TrainingSession> {
    const living = (tensor: string) => {
      if (this.#end) throw this.#end.reason;
      return this.weights.tensor(tensor);
    };
    return cpuTraining(living, graph, update, merges);
  }

  async mergeWeights(merges: readonly WeightMerge[]): Promise<void> {
    mergeOnCpu(tensor => this.weights.tensor(tensor), merges);
  }

  readTensors(signal?: AbortSignal) {
    const { weights } = this;
    return {
      has: (tensor: string) => weights.names().includes(tensor),
      async *read(tensor: string) {
        signal?.throwIfAborted();
        // In two pieces, since a device gives several.
        const data = weights.tensor(tensor).data.slice();
        const half = data.length >> 1;
        if (half) yield data.slice(0, half);
        signal?.throwIfAborted();
        yield data.slice(half);
      },
    };
  }

  async maxSim({ queries, documents, columns }: MaxSimInput): Promise<Float32Array> {
    if (this.#end) throw this.#end.reason;
    return Float32Array.from(queries.flatMap(query => documents.map(document => maxSim(query, document, columns))));
  }

  listen(listener: BackendListener): void {
    this.#listener = listener;
  }

  async settled(): Promise<void> {}

  async explain(error: unknown): Promise<unknown> {
    return this.#end ? this.#end.reason : error;
  }

  destroy(reason: unknown): void {
    this.#end ??= { reason };
    this.weights.clear();
  }

  /** As if a driver had taken the device away. */
  lose(): void {
    const error = new LostDeviceError({ reason: 'unknown', message: 'for a test' } as GPUDeviceLostInfo);
    this.#listener?.lost(error);
  }
}

/** Whole tensors as float32, by canonical name. */
class CPUWeights implements WeightStore {
  readonly #tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();

  async allocate(weights: readonly Weight[]): Promise<void> {
    for (const { tensor, shape } of weights.flatMap(({ parts }) => parts)) {
      const size = shape.reduce((a, b) => a * b);
      if (!this.#tensors.has(tensor))
        this.#tensors.set(tensor, { shape, data: new Float32Array(size).fill(Number.NaN) });
    }
  }

  expect(tensors: readonly string[]): void {
    for (const tensor of tensors) this.tensor(tensor);
  }

  async write({ tensor, stored, begin, bytes }: Piece): Promise<void> {
    const floats = toFloats(bytes.slice().buffer, stored as TensorDtype);
    this.tensor(tensor).data.set(floats, begin / (stored === 'F32' ? 4 : 2));
  }

  /** Numbers that were never written are NaN, so they are found here too. */
  async finish(): Promise<Flaw[]> {
    const flaws: Flaw[] = [];
    for (const [tensor, { shape, data }] of this.#tensors) {
      const at = data.findIndex(value => !Number.isFinite(value));
      if (at < 0) continue;
      const columns = shape.length === 1 ? 1 : shape.at(-1)!;
      const index = shape.length === 1 ? [at] : [Math.floor(at / columns), at % columns];
      flaws.push({ tensor, index, kind: Number.isNaN(data[at]) ? 'NaN' : data[at]! > 0 ? 'Infinity' : '-Infinity' });
    }
    return flaws;
  }

  tensor(name: string): { shape: readonly number[]; data: Float32Array } {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`no room was made for ${name}`);
    return tensor;
  }

  /** Of the tensors that there is room for. */
  names(): string[] {
    return [...this.#tensors.keys()];
  }

  release(weights: readonly Weight[]): void {
    for (const { tensor } of weights.flatMap(({ parts }) => parts)) this.#tensors.delete(tensor);
  }

  bytes(): number {
    return [...this.#tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  clear(): void {
    this.#tensors.clear();
  }
}

/** The sequences of a packed pass. */
function unpacked({ sizes, tokens, sequences, tiles, masked }: Batch): Sequence[] {
  /** The first key of each sequence, by its first query. */
  const firstKeys = new Map(Array.from({ length: sizes.tiles }, (_, i) => [tiles[4 * i + 2]!, tiles[4 * i]!]));
  const column = (start: number, end: number, at: number) =>
    Array.from({ length: end - start }, (_, i) => tokens[4 * (start + i) + at]!);
  const places = Array.from({ length: sizes.masked }, (_, i) => masked[4 * i]!);
  return Array.from({ length: sizes.sequences }, (_, b) => {
    const [start, end, , unpooled] = sequences.subarray(4 * b, 4 * b + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    return {
      ids: column(start, end, 0),
      positions: column(start, end, 1),
      types: column(start, end, 2),
      places: column(start, end, 3),
      masked: places.filter(place => place >= start && place < end).map(place => place - start),
      unpooled,
      unattended: firstKeys.get(start)! - start,
    };
  });
}
