import { DeviceError } from '../errors.ts';

export const disposed = () => new DeviceError({ what: 'the model was disposed', next: 'Load it again.' });

/** All that a device can report of a call: what is out of memory is told before what then is invalid. */
export const ALL_ERRORS: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];

/** The error for what no device should refuse. */
export const unexpected = (what: string, actual: string, cause?: unknown) =>
  new DeviceError({
    what,
    actual,
    next: 'Please report this with the name of the browser and of the graphics adapter.',
    cause,
  });

/**
 * Runs `work` inside error scopes. `refused` resolves to the first GPUError raised by the calls that `work` makes before it returns;
 * such errors do not reach `uncapturederror`. The scopes are closed also where `work` throws.
 */
export function watched<T>(
  device: GPUDevice,
  filters: readonly GPUErrorFilter[],
  work: () => T,
): { result: T; refused: Promise<GPUError | undefined> } {
  for (const filter of filters) device.pushErrorScope(filter);
  let scopes: Promise<GPUError | null>[] = [];
  let result: T;
  try {
    result = work();
  } finally {
    // All are popped, whatever the first one says.
    scopes = filters.map(() => device.popErrorScope());
    // On a lost device they may reject; so does `refused`, for whoever reads it.
    for (const scope of scopes) scope.catch(() => undefined);
  }
  const refused = Promise.all(scopes).then(errors => errors.find(error => error !== null) ?? undefined);
  refused.catch(() => undefined);
  return { result, refused };
}
