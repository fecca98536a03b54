/** What the browser tells of this device's GPU and of itself. */
export interface DeviceFacts {
  readonly adapter: Readonly<Record<string, string>>;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly browser: string;
  readonly cores: number | undefined;
}

/** The limits that decide how large a model, a text and a workgroup may be. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const;

/** The features that the kernels make use of where they are there. */
const FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'] as const;

/** Undefined where there is no adapter. */
export async function deviceFacts(): Promise<DeviceFacts | undefined> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) return undefined;
  const { vendor, architecture, device, description } = adapter.info;
  return {
    adapter: Object.fromEntries(
      Object.entries({ vendor, architecture, device, description }).filter(([, value]) => value !== ''),
    ),
    features: FEATURES.filter(name => adapter.features.has(name)),
    limits: Object.fromEntries(LIMITS.map(name => [name, adapter.limits[name]])),
    browser: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
  };
}
