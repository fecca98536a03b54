import { DeviceError } from '../errors.ts';
import type { AdapterKind, Caps } from '../plan/index.ts';
import { globalOf } from '../runtime/index.ts';
import { absenceOfAdapter, absenceOfWebGPU, NO_DEVICE } from './absence.ts';

/** A device, and what is known of it. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly caps: Caps;
  /** For people: `google swiftshader`. */
  readonly adapterName: string;
  /** Whether the library made the device, and so destroys it. */
  readonly owned: boolean;
}

/** Limits that are requested as high as the adapter has them: in some models a table of embeddings is larger than the default 128 MiB. */
const RAISED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const;

/** Features that some kernels are faster with. They are requested where the adapter has them. */
const FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups'];

/**
 * The caller's device, which the library never destroys, or a new device on the fastest adapter. Throws DeviceError if there is no WebGPU,
 * no adapter or no device.
 */
export async function openGpu(callersDevice?: GPUDevice): Promise<Gpu> {
  if (callersDevice) return describe(callersDevice, false, callersDevice.adapterInfo);
  const gpu = globalOf('navigator')?.gpu;
  if (!gpu) throw new DeviceError(absenceOfWebGPU());
  // It rejects if the browser has stopped using the GPU after crashes.
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) throw new DeviceError(absenceOfAdapter());
  const requiredLimits = Object.fromEntries(RAISED_LIMITS.map(limit => [limit, adapter.limits[limit]]));
  try {
    const requiredFeatures = FEATURES.filter(feature => adapter.features.has(feature));
    const device = await adapter.requestDevice({ label: 'webgpu-bert', requiredLimits, requiredFeatures });
    return describe(device, true, adapter.info);
  } catch (cause) {
    throw new DeviceError({
      what: 'the graphics adapter gave no device',
      actual: String(cause),
      next: NO_DEVICE,
      cause,
    });
  }
}

/**
 * The kind of an adapter, by its name and its flag `isFallbackAdapter`. Firefox names no adapter, but the only fallback that it has is
 * llvmpipe, on Linux. WARP (`Basic Render Driver`, Windows) gets the choices for llvmpipe.
 */
export function kindOf(name: string, fallback: boolean | undefined): AdapterKind {
  if (/swiftshader/i.test(name)) return 'swiftshader';
  return fallback || /llvmpipe|lavapipe|basic render/i.test(name) ? 'llvmpipe' : 'gpu';
}

/** Whether an adapter computes on the CPU. */
export const isSoftware = (kind: AdapterKind): boolean => kind !== 'gpu';

/** The name of an adapter, for people. */
export function adapterNameOf(info: Partial<GPUAdapterInfo> = {}): string {
  const words = [info.vendor, info.architecture, info.device, info.description].filter(Boolean);
  return [...new Set(words)].join(' ') || 'unnamed adapter';
}

function describe(device: GPUDevice, owned: boolean, info: Partial<GPUAdapterInfo> = {}): Gpu {
  const { subgroupMinSize, subgroupMaxSize } = info;
  const adapterName = adapterNameOf(info);
  const { limits, features } = device;
  const hasLanguageFeature = (feature: string) =>
    globalOf('navigator')?.gpu?.wgslLanguageFeatures?.has(feature) === true;
  return {
    device,
    owned,
    adapterName,
    caps: {
      adapter: kindOf(adapterName, info.isFallbackAdapter),
      maxInvocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
      maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      subgroup: features.has('subgroups') && subgroupMinSize === subgroupMaxSize ? (subgroupMinSize ?? 0) : 0,
      f16: features.has('shader-f16'),
      dot4I8: hasLanguageFeature('packed_4x8_integer_dot_product'),
      storageTextures: hasLanguageFeature('readonly_and_readwrite_storage_textures'),
    },
  };
}
