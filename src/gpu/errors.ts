import { DeviceError } from '../errors.ts';

export const disposedError = () => new DeviceError({ what: 'the model was disposed', next: 'Load it again.' });

/** The error of an operation that no device should refuse. */
export const unexpectedError = (what: string, actual: string, cause?: unknown) =>
  new DeviceError({
    what,
    actual,
    next: 'Please report this with the name of the browser and of the graphics adapter.',
    cause,
  });

/**
 * Every kind of error that a device can report. Scopes end in the reverse order, so `inErrorScopes` reports that memory ran out before
 * the validation errors that follow from it.
 */
export const ALL_FILTERS: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];

/**
 * Runs `work` inside error scopes. `refused` resolves to the first GPUError raised by the calls that `work` makes before it returns;
 * such errors do not reach `uncapturederror`. When `work` throws, the scopes are closed too.
 */
export function inErrorScopes<T>(
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
    // All scopes are popped before any result is awaited: an open scope would capture errors of other code.
    scopes = filters.map(() => device.popErrorScope());
    // On a lost device a pop may reject. `refused` rejects then, too; a caller that does not read it must not cause an unhandled rejection.
    for (const scope of scopes) scope.catch(() => undefined);
  }
  const refused = Promise.all(scopes).then(errors => errors.find(error => error !== null) ?? undefined);
  refused.catch(() => undefined);
  return { result, refused };
}
