import { DeviceError } from '../errors.ts';
import type { AdapterKind, Caps } from '../plan/index.ts';
import { globalOf } from '../runtime/index.ts';

/** A device, what its adapter can do, and whether it is ours to destroy. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly caps: Caps;
  /** For people: `google swiftshader`. */
  readonly adapterName: string;
  readonly owned: boolean;
}

/** The versions with which WebGPU came. Nothing asks for them: features are looked for, and no younger API is used (tests/globals.test.ts). */
const NEXT =
  'Use Chrome or Edge 113+, Firefox 141+ or Safari 26+ over https:// or localhost, and see https://webgpureport.org for this browser.';

/** Limits worth having beyond the defaults: tables of embeddings are larger than 128 MiB in some models. */
const WANTED = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const;

/** Features that some kernels have a faster text for. */
const FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups'];

/**
 * The person's own device, which is never destroyed here, or a new one on the best adapter there is.
 * Throws DeviceError where there is no WebGPU, no adapter, or no device.
 */
export async function openGpu(given?: GPUDevice): Promise<Gpu> {
  if (given) return describe(given, false, given.adapterInfo);
  const gpu = globalOf('navigator')?.gpu;
  if (!gpu) throw new DeviceError({ what: 'this environment has no WebGPU (navigator.gpu is missing)', next: NEXT });
  // It rejects where the browser has given the GPU up.
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) throw new DeviceError({ what: 'WebGPU found no usable graphics adapter', next: NEXT });
  const requiredLimits = Object.fromEntries(WANTED.map(limit => [limit, adapter.limits[limit]]));
  try {
    const requiredFeatures = FEATURES.filter(feature => adapter.features.has(feature));
    const device = await adapter.requestDevice({ label: 'webgpu-bert', requiredLimits, requiredFeatures });
    return describe(device, true, adapter.info);
  } catch (cause) {
    throw new DeviceError({ what: 'the graphics adapter gave no device', actual: String(cause), next: NEXT, cause });
  }
}

/** Firefox names no adapter; its fallback on Linux, the only one it has, is llvmpipe. Windows' WARP is the nearest to it too. */
export function kindOf(name: string, fallback: boolean | undefined): AdapterKind {
  if (/swiftshader/i.test(name)) return 'swiftshader';
  return fallback || /llvmpipe|lavapipe|basic render/i.test(name) ? 'llvmpipe' : 'gpu';
}

/** Whether an adapter computes on the CPU. */
export const isSoftware = (kind: AdapterKind): boolean => kind !== 'gpu';

/** What a graphics adapter is called, for people. */
export function adapterNameOf(info: Partial<GPUAdapterInfo> = {}): string {
  const words = [info.vendor, info.architecture, info.device, info.description].filter(Boolean);
  return [...new Set(words)].join(' ') || 'unnamed adapter';
}

function describe(device: GPUDevice, owned: boolean, info: Partial<GPUAdapterInfo> = {}): Gpu {
  const { subgroupMinSize: least, subgroupMaxSize: most } = info;
  const adapterName = adapterNameOf(info);
  const { limits, features } = device;
  const speaks = (feature: string) => globalOf('navigator')?.gpu?.wgslLanguageFeatures?.has(feature) === true;
  return {
    device,
    owned,
    adapterName,
    caps: {
      adapter: kindOf(adapterName, info.isFallbackAdapter),
      maxInvocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
      maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      subgroup: features.has('subgroups') && least !== undefined && least === most ? least : 0,
      f16: features.has('shader-f16'),
      dot4I8: speaks('packed_4x8_integer_dot_product'),
      storageTextures: speaks('readonly_and_readwrite_storage_textures'),
    },
  };
}
