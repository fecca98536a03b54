import { TEXEL_BYTES, type TexelFormat } from '../../shaders/kernel.ts';

/** What a library asks of WebGPU and of the JS heap, counted by wrapping the API before the library is imported. */
export interface Meters {
  pipelines: number;
  submits: number;
  dispatches: number;
  /** Calls of mapAsync: of a staging buffer, too. */
  maps: number;
  /** Of createBuffer and createTexture, less what was destroyed. */
  gpuBytes: number;
  gpuBytesPeak: number;
  /** Growth of the JS heap, buffers outside of it included, at its highest; Chromium only. */
  heapPeakBytes: number | undefined;
}

/** `performance.memory` is Chromium's; it is precise where the page is isolated or the browser was told to be. */
const heapNow = (): number | undefined =>
  (performance as Performance & { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize;

/** Starts to count; `stop` gives the counts and leaves the API as it was. */
export function startMeters(): { meters: Meters; stop(): Meters } {
  const meters: Meters = {
    pipelines: 0,
    submits: 0,
    dispatches: 0,
    maps: 0,
    gpuBytes: 0,
    gpuBytesPeak: 0,
    heapPeakBytes: undefined,
  };
  const undo: (() => void)[] = [];
  const wrap = <K extends string, T extends Record<K, (...args: never[]) => unknown>>(
    prototype: T,
    name: K,
    see: (self: T, result: unknown, first: unknown) => void,
  ) => {
    const original: T[K] = prototype[name];
    const replacement = function (this: T, ...args: never[]) {
      const result = original.apply(this, args);
      see(this, result, args[0]);
      return result;
    };
    prototype[name] = replacement as T[K];
    undo.push(() => {
      prototype[name] = original;
    });
  };
  const alive = new WeakMap<object, number>();
  if ('GPUDevice' in globalThis) {
    const pipeline = () => {
      meters.pipelines += 1;
    };
    wrap(GPUDevice.prototype, 'createComputePipeline', pipeline);
    wrap(GPUDevice.prototype, 'createComputePipelineAsync', pipeline);
    // A submit of nothing only asks Firefox to look for finished work.
    wrap(GPUQueue.prototype, 'submit', (_, __, commands) => {
      if ((commands as unknown as readonly unknown[]).length) meters.submits += 1;
    });
    const dispatch = () => {
      meters.dispatches += 1;
    };
    wrap(GPUComputePassEncoder.prototype, 'dispatchWorkgroups', dispatch);
    wrap(GPUComputePassEncoder.prototype, 'dispatchWorkgroupsIndirect', dispatch);
    wrap(GPUBuffer.prototype, 'mapAsync', () => {
      meters.maps += 1;
    });
    const made = (bytes: (each: never) => number) => (_: GPUDevice, each: unknown) => {
      const size = bytes(each as never);
      alive.set(each as object, size);
      meters.gpuBytes += size;
      meters.gpuBytesPeak = Math.max(meters.gpuBytesPeak, meters.gpuBytes);
    };
    const gone = (self: object) => {
      meters.gpuBytes -= alive.get(self) ?? 0;
      alive.delete(self);
    };
    wrap(
      GPUDevice.prototype,
      'createBuffer',
      made(({ size }: GPUBuffer) => size),
    );
    // Textures of other formats than ours would be counted at four bytes a texel.
    wrap(
      GPUDevice.prototype,
      'createTexture',
      made(
        ({ width, height, depthOrArrayLayers, format }: GPUTexture) =>
          width * height * depthOrArrayLayers * (TEXEL_BYTES[format as TexelFormat] ?? 4),
      ),
    );
    wrap(GPUBuffer.prototype, 'destroy', gone);
    wrap(GPUTexture.prototype, 'destroy', gone);
  }
  const before = heapNow();
  const poll = () => {
    const now = heapNow();
    if (before !== undefined && now !== undefined)
      meters.heapPeakBytes = Math.max(meters.heapPeakBytes ?? 0, now - before);
  };
  const timer = setInterval(poll, 2);
  return {
    meters,
    stop() {
      poll();
      clearInterval(timer);
      for (const restore of undo) restore();
      return { ...meters };
    },
  };
}
