import { DEFAULTS, type Limits, SMALL } from './device-limits.ts';

/**
 * What devices are asked for, and what goes beyond it. A device has the limits of its `requestDevice`, those that are not named by
 * their defaults; a test may give it smaller ones, which it then claims, and which gpu-watch.ts enforces.
 */

const asked = new WeakMap<GPUDevice, Limits>();
/** What a device claims in place of what it has. */
const claims = new WeakMap<GPUDevice, Partial<Limits>>();
/** What is refused though the real device would take it. */
const enforced = new WeakMap<GPUDevice, Partial<Limits>>();
/** What adapters claim, and all devices that are made of them. */
let claimed: Partial<Limits> | undefined;

const every = (limits: GPUSupportedLimits, more: Partial<Limits>): GPUSupportedLimits => {
  const numbers: Record<string, number> = {};
  for (const name in limits) numbers[name] = limits[name as keyof GPUSupportedLimits] as number;
  return { ...numbers, ...more } as unknown as GPUSupportedLimits;
};

const ofDevice = Object.getOwnPropertyDescriptor(GPUDevice.prototype, 'limits')!.get!;
Object.defineProperty(GPUDevice.prototype, 'limits', {
  configurable: true,
  get(this: GPUDevice) {
    const own = claims.get(this);
    const real = ofDevice.call(this) as GPUSupportedLimits;
    return own ? every(real, own) : real;
  },
});
const ofAdapter = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'limits')!.get!;
Object.defineProperty(GPUAdapter.prototype, 'limits', {
  configurable: true,
  get(this: GPUAdapter) {
    const real = ofAdapter.call(this) as GPUSupportedLimits;
    return claimed ? every(real, claimed) : real;
  },
});
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor = {}) {
  const { requiredLimits, ...others } = descriptor;
  // Where adapters claim something, a device is asked for nothing: it has the defaults, or claims less.
  const device = await requestDevice.call(this, claimed ? others : descriptor);
  const named = Object.entries(requiredLimits ?? {}).filter(([, limit]) => limit !== undefined);
  asked.set(device, { ...DEFAULTS, ...(claimed ? {} : Object.fromEntries(named)) });
  if (claimed && claimed !== DEFAULTS) restrict(device, claimed);
  return device;
};

/** From now on the device has these limits: it says so, and what goes beyond them is refused. */
export function restrict(device: GPUDevice, limits: Partial<Limits>): GPUDevice {
  claims.set(device, { ...claims.get(device), ...limits });
  return enforce(device, limits);
}

/** From now on what goes beyond these limits is refused, of which the device says nothing. */
export function enforce(device: GPUDevice, limits: Partial<Limits>): GPUDevice {
  enforced.set(device, { ...enforced.get(device), ...limits });
  return device;
}

/** From now on no adapter, and no device, has more than the defaults, or than SMALL. */
export function claimEverywhere(limits: 'default' | 'small'): void {
  claimed = limits === 'small' ? SMALL : DEFAULTS;
}

/** Whether devices of this page have less than the defaults. */
export const isSmall = (): boolean => claimed !== undefined && claimed !== DEFAULTS;

export const limitsOf = (device: GPUDevice): Limits => ({
  ...(asked.get(device) ?? DEFAULTS),
  ...enforced.get(device),
});
export const restricted = (device: GPUDevice): boolean => enforced.has(device);
