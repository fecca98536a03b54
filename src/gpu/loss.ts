import { DeviceError, WebGPUBertError } from '../errors.ts';

/** The device was lost, and not because the library destroyed it. */
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

type LossListener = (error: LostDeviceError) => void;

/** Who listens for the loss of a device, and the loss after it has happened. */
interface LossWatch {
  error?: LostDeviceError;
  readonly listeners: Set<LossListener>;
}

/**
 * One watch for each device. A reaction to the promise `device.lost` cannot be removed, and it lives as long as the device. So there is
 * one, however many models come and go, and it holds only a set, which models leave.
 */
const watches = new WeakMap<GPUDevice, LossWatch>();

/**
 * Calls `listener` once when the device is lost; if it is lost already, in a microtask. The function that it returns removes the listener.
 */
export function onLoss(device: GPUDevice, listener: LossListener): () => void {
  const { error, listeners } = watchOf(device);
  listeners.add(listener);
  const remove = () => listeners.delete(listener);
  if (error) queueMicrotask(() => remove() && listener(error));
  return remove;
}

function watchOf(device: GPUDevice): LossWatch {
  const existing = watches.get(device);
  if (existing) return existing;
  const watch: LossWatch = { listeners: new Set() };
  watches.set(device, watch);
  const report = (info: GPUDeviceLostInfo): void => {
    watch.error = new LostDeviceError(info);
    const listeners = [...watch.listeners];
    watch.listeners.clear();
    for (const listener of listeners) listener(watch.error);
  };
  device.lost.then(report, () => undefined);
  return watch;
}

/** How long after an error the loss of the device that caused it may be reported. */
const GRACE_MS = 250;

/**
 * The reason why an operation failed with `error`. Operations of a lost device fail in many ways, sometimes before the loss is reported.
 * So an error that a loss may have caused waits 250 ms for the loss, and is then replaced by it. When `signal` aborts, its reason is the
 * reason. Every other error is returned as it is.
 */
export async function explainError(device: GPUDevice, error: unknown, signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return signal.reason;
  const mayBeLoss = error instanceof WebGPUBertError ? error instanceof DeviceError : isErrorOfDevice(error);
  if (!mayBeLoss || error instanceof LostDeviceError) return error;
  return new Promise(resolve => {
    const settle = (reason: unknown) => {
      clearTimeout(timer);
      removeListener();
      signal.removeEventListener('abort', abort);
      resolve(reason);
    };
    const abort = () => settle(signal.reason);
    signal.addEventListener('abort', abort);
    const timer = setTimeout(() => settle(error), GRACE_MS);
    const removeListener = onLoss(device, settle);
  });
}

/** Whether an error is of a kind that mapAsync, popErrorScope and the creation of pipelines reject with. */
const isErrorOfDevice = (error: unknown): boolean =>
  error instanceof Error && ['AbortError', 'OperationError', 'GPUPipelineError'].includes(error.name);
