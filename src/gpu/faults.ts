import { DeviceError } from '../errors.ts';

export const disposed = () => new DeviceError({ what: 'the model was disposed', next: 'Load it again.' });

/** The error for what no device should refuse. */
export const unexpected = (what: string, actual: string, cause?: unknown) =>
  new DeviceError({
    what,
    actual,
    next: 'Please report this with the name of the browser and of the graphics adapter.',
    cause,
  });

/** What `work` gives, and the first error that the device has with what it does before it returns: nobody else hears of that. */
export function watched<T>(
  device: GPUDevice,
  filters: readonly GPUErrorFilter[],
  work: () => T,
): { result: T; refused: Promise<GPUError | undefined> } {
  for (const filter of filters) device.pushErrorScope(filter);
  const result = work();
  // All are popped, whatever the first one says.
  const scopes = filters.map(() => device.popErrorScope());
  return { result, refused: Promise.all(scopes).then(errors => errors.find(error => error !== null) ?? undefined) };
}
