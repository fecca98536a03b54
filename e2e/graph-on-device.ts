import type { Format } from '../shaders/matrix.ts';
import { Executable } from '../src/gpu/executable.ts';
import { MeasuredPace } from '../src/gpu/measured-pace.ts';
import { WeightStore } from '../src/gpu/weights.ts';
import { packBatch } from '../src/plan/batch.ts';
import type { AdapterKind } from '../src/plan/caps.ts';
import type { Graph } from '../src/plan/op.ts';
import { plan } from '../src/plan/plan.ts';
import type { Sequence } from '../src/plan/sequence.ts';
import { namedValues } from '../tests/bisect.ts';
import type { TensorData } from '../tests/interpreter.ts';
import { random, testGpu } from './dispatch.ts';

/** A graph whose weights are random numbers, on this page's device. */
export interface GraphOnDevice {
  /** The outputs of a pass, by name. */
  run(batch: readonly Sequence[]): Promise<Map<string, Float64Array>>;
  /** A weight of the graph. */
  tensorOf(tensor: string): TensorData;
  destroy(): void;
}

/** Random numbers that keep values of the order of 1: the rows of a matrix have about length 1. */
function randomTensor(shape: readonly number[], seed: number): TensorData {
  const count = shape.reduce((a, b) => a * b);
  const data = random(seed)(count, shape.length > 1 ? 1 / Math.sqrt(shape[1]!) : 0.5);
  return { shape, data };
}

export interface GraphOptions {
  /** Planned as for an adapter of this kind. Default: the device's own. */
  readonly adapter?: AdapterKind | undefined;
  /** How weights are kept. Default: 'f32'. */
  readonly format?: Format | undefined;
  /** Tensors in the place of random ones. */
  readonly tensors?: ReadonlyMap<string, TensorData> | undefined;
  /** The names of the tensors in the order that they come in. Default: that of the plan. */
  readonly order?: readonly string[] | undefined;
  /** Bytes of the pieces that tensors come in. Default: whole tensors. */
  readonly pieceBytes?: number | undefined;
}

export async function graphOnDevice(
  graph: Graph,
  maxBindingBytes = Number.POSITIVE_INFINITY,
  { adapter, format, tensors: given, order, pieceBytes }: GraphOptions = {},
): Promise<GraphOnDevice> {
  const { gpu, pipelines } = await testGpu();
  const { device } = gpu;
  const caps = {
    ...gpu.caps,
    ...(adapter && { adapter }),
    maxBindingBytes: Math.min(gpu.caps.maxBindingBytes, maxBindingBytes),
  };
  const planned = plan(graph, { caps, format });
  const store = new WeightStore(device, pipelines);
  await store.allocate(planned.weights);
  const tensors = new Map<string, TensorData>();
  for (const { tensor, shape } of planned.weights.flatMap(({ parts }) => parts)) {
    if (tensors.has(tensor)) continue;
    tensors.set(tensor, given?.get(tensor) ?? randomTensor(shape, tensors.size + 1));
  }
  for (const tensor of order ?? tensors.keys()) {
    const bytes = new Uint8Array(Float32Array.from(tensors.get(tensor)!.data).buffer);
    for (let begin = 0; begin < bytes.length; begin += pieceBytes ?? bytes.length) {
      const piece = bytes.subarray(begin, begin + (pieceBytes ?? bytes.length));
      await store.write({ tensor, stored: 'F32', begin, bytes: piece });
    }
  }
  await store.finish();
  const { signal } = new AbortController();
  const executable = await Executable.create({
    device,
    plan: planned,
    weights: store,
    pipelines,
    signal,
    pacer: new MeasuredPace(caps),
  });
  return {
    async run(batch) {
      const results = await executable.run(packBatch(batch, planned.queryTile, planned.stretched)).outputs;
      return namedValues(planned.outputs, results);
    },
    tensorOf: tensor => tensors.get(tensor)!,
    destroy() {
      executable.destroy();
      store.destroy();
    },
  };
}
