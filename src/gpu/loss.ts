import { DeviceError, WebGPUBertError } from '../errors.ts';

/** The device is gone, and not because this library gave it back. */
export class LostDeviceError extends DeviceError {
  declare readonly info: GPUDeviceLostInfo;

  constructor(info: GPUDeviceLostInfo) {
    super({
      what: 'the GPU device was lost',
      actual: info.message || info.reason,
      next: 'Load the model again, on a new device.',
    });
    Object.defineProperty(this, 'info', { value: info });
  }
}

interface Watch {
  error?: LostDeviceError;
  readonly listeners: Set<(error: LostDeviceError) => void>;
}

/**
 * One reaction to `device.lost` for each device, however many models come and go on it: a promise cannot be unsubscribed from, so
 * what reacts to it lives as long as the device, and must hold nothing but a set that models leave.
 */
const watches = new WeakMap<GPUDevice, Watch>();

/** Calls `listener` once when the device is lost, soon where it is already. What it returns ends that. */
export function onLoss(device: GPUDevice, listener: (error: LostDeviceError) => void): () => void {
  const { error, listeners } = watchOf(device);
  listeners.add(listener);
  const end = () => listeners.delete(listener);
  if (error) queueMicrotask(() => end() && listener(error));
  return end;
}

function watchOf(device: GPUDevice): Watch {
  const known = watches.get(device);
  if (known) return known;
  const watch: Watch = { listeners: new Set() };
  watches.set(device, watch);
  const hear = (info: GPUDeviceLostInfo): void => {
    watch.error = new LostDeviceError(info);
    const told = [...watch.listeners];
    watch.listeners.clear();
    for (const listener of told) listener(watch.error);
  };
  device.lost.then(hear, () => undefined);
  return watch;
}

/** How long after an error of an operation the loss of the device may be reported which explains it. */
const GRACE_MS = 250;

/**
 * Why an operation of the device failed with `error`. A lost device fails operations in any way, sometimes before it is said to be
 * lost; so an error that may come of that waits a moment for the loss, or for `signal`, whose reason it then is. What comes from
 * elsewhere is given back as it is.
 */
export async function explained(device: GPUDevice, error: unknown, signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return signal.reason;
  const mayBeLoss = error instanceof WebGPUBertError ? error instanceof DeviceError : isOfDevice(error);
  if (!mayBeLoss || error instanceof LostDeviceError) return error;
  return new Promise(resolve => {
    const settle = (reason: unknown) => {
      clearTimeout(timer);
      end();
      signal.removeEventListener('abort', abort);
      resolve(reason);
    };
    const abort = () => settle(signal.reason);
    signal.addEventListener('abort', abort);
    const timer = setTimeout(() => settle(error), GRACE_MS);
    const end = onLoss(device, settle);
  });
}

/** What mapAsync, popErrorScope and the creation of pipelines reject with. */
const isOfDevice = (error: unknown): boolean =>
  error instanceof Error && ['AbortError', 'OperationError', 'GPUPipelineError'].includes(error.name);
