import { adapterNameOf, isSoftware, kindOf, openGpu } from '../gpu/index.ts';
import { globalOf } from '../runtime/index.ts';

/** Whether models run here, and if not, why. */
export interface Support {
  readonly ok: boolean;
  /** The graphics adapter that would be used, as `model.adapter` names it; undefined where there is none. */
  readonly adapter: string | undefined;
  /** Whether that adapter computes on the CPU (SwiftShader, llvmpipe, WARP): models run, and slowly. */
  readonly software: boolean;
  /** Why they do not run, as a sentence. Undefined where they do. */
  readonly reason: string | undefined;
  /** What can be done about it, as a sentence. Undefined where they run. */
  readonly next: string | undefined;
}

/** What every kernel counts on: those of larger workgroups are made smaller down to this. */
const LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 128,
  maxComputeWorkgroupSizeX: 128,
  maxComputeWorkgroupStorageSize: 16_384,
} as const;

/** What the library calls beside WebGPU, of that which an old browser may lack. */
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
 * nothing. What a model needs beyond this, as memory for its weights, only loading it can tell.
 */
export async function isSupported(): Promise<Support> {
  let adapter: string | undefined;
  let software = false;
  const not = (reason: string, next: string): Support => ({ ok: false, adapter, software, reason, next });
  try {
    const missing = Object.keys(FUNCTIONS).filter(name => !FUNCTIONS[name]!());
    if (missing.length > 0) return not(`This environment has no ${missing.join(', ')}.`, BROWSERS);
    const gpu = globalOf('navigator')?.gpu;
    if (!gpu && globalThis.isSecureContext === false) {
      return not(
        'WebGPU is there for secure pages only, and this page is not one.',
        'Serve it over https://, or from localhost while developing.',
      );
    }
    if (!gpu) return not('This environment has no WebGPU (navigator.gpu is missing).', BROWSERS);
    const found = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!found) {
      return not(
        'WebGPU found no usable graphics adapter.',
        'Switch on hardware acceleration in the settings of the browser, or update the graphics driver; https://webgpureport.org shows what the browser sees.',
      );
    }
    adapter = adapterNameOf(found.info);
    software = isSoftware(kindOf(adapter, found.info?.isFallbackAdapter));
    const short = Object.entries(LIMITS).find(([name, least]) => !(found.limits[name as keyof typeof LIMITS] >= least));
    if (short) {
      const [name, least] = short;
      return not(
        `The graphics adapter allows too little: ${name} is ${found.limits[name as keyof typeof LIMITS]}, and ${least} is needed.`,
        'Use another graphics adapter or another browser.',
      );
    }
    // An adapter may still give no device.
    (await openGpu()).device.destroy();
    return { ok: true, adapter, software, reason: undefined, next: undefined };
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error);
    return not(
      `The graphics adapter gave no device (${told.replace(/\.$/, '')}).`,
      'Close other pages that use the GPU, or start the browser anew.',
    );
  }
}
