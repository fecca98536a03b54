import { DeviceError } from '../errors.ts';
import {
  type Absence,
  absenceOfAdapter,
  absenceOfWebGPU,
  adapterNameOf,
  isSoftware,
  kindOf,
  NO_DEVICE,
  openGpu,
} from '../gpu/index.ts';
import { globalOf } from '../runtime/index.ts';

/** Whether models run here, and if not, why. */
export interface Support {
  readonly ok: boolean;
  /** The graphics adapter that would be used, as `model.adapter` names it; undefined where there is none. */
  readonly adapter: string | undefined;
  /** Whether that adapter computes on the CPU (SwiftShader, llvmpipe, WARP): models run there, but slowly. */
  readonly software: boolean;
  /** Why models do not run, as a sentence. Undefined where they do. */
  readonly reason: string | undefined;
  /** What the reader can do about it, as a sentence. Undefined where models run. */
  readonly next: string | undefined;
}

/** The limits that every kernel needs. A kernel that would use larger workgroups uses smaller ones where a limit is no higher. */
const MINIMUM_LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 128,
  maxComputeWorkgroupSizeX: 128,
  maxComputeWorkgroupStorageSize: 16_384,
} as const;

/** Functions and classes that the library calls beside WebGPU, and that an old browser may lack. */
const FUNCTIONS: Readonly<Record<string, () => unknown>> = {
  ReadableStream: () => globalThis.ReadableStream,
  structuredClone: () => globalThis.structuredClone,
  AbortController: () => globalThis.AbortController,
  'Intl.Segmenter': () => globalThis.Intl?.Segmenter,
  CustomEvent: () => globalThis.CustomEvent,
};

const BROWSERS = 'Update the browser, or use Chrome, Edge, Firefox or Safari in their present versions.';

/**
 * Asks for an adapter and a device as a load does, and gives the device back at once. Never throws, loads nothing, and keeps
 * nothing. Whether a model's weights fit into the memory is known only when it is loaded.
 */
export async function isSupported(): Promise<Support> {
  let adapter: string | undefined;
  let software = false;
  const unsupported = (reason: string, next: string): Support => ({ ok: false, adapter, software, reason, next });
  const absent = ({ what, next }: Absence) => unsupported(`${what.charAt(0).toUpperCase()}${what.slice(1)}.`, next);
  try {
    const missing = Object.keys(FUNCTIONS).filter(name => !FUNCTIONS[name]!());
    if (missing.length > 0) return unsupported(`This environment has no ${missing.join(', ')}.`, BROWSERS);
    const gpu = globalOf('navigator')?.gpu;
    if (!gpu) return absent(absenceOfWebGPU());
    const gpuAdapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!gpuAdapter) return absent(absenceOfAdapter());
    adapter = adapterNameOf(gpuAdapter.info);
    software = isSoftware(kindOf(adapter, gpuAdapter.info?.isFallbackAdapter));
    for (const [name, minimum] of Object.entries(MINIMUM_LIMITS)) {
      const limit = gpuAdapter.limits[name as keyof typeof MINIMUM_LIMITS];
      // A limit that the browser does not know is undefined, and as little use as one that is too small.
      if (limit >= minimum) continue;
      return unsupported(
        `The graphics adapter allows too little: ${name} is ${limit}, and ${minimum} is needed.`,
        'Use another graphics adapter or another browser.',
      );
    }
    // An adapter may still give no device.
    (await openGpu()).device.destroy();
    return { ok: true, adapter, software, reason: undefined, next: undefined };
  } catch (error) {
    if (error instanceof DeviceError) {
      return absent({ what: `${error.what} (${error.actual})`, next: error.next ?? NO_DEVICE });
    }
    const message = error instanceof Error ? error.message : String(error);
    return unsupported(`WebGPU cannot be asked for an adapter (${message.replace(/\.$/, '')}).`, NO_DEVICE);
  }
}
