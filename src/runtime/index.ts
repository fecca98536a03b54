/**
 * What a JavaScript runtime may or may not have, and how to stop waiting for it: globals that may be missing or throw, whether there is a
 * file system, waits that an AbortSignal ends, and long work that leaves others their turn. Any room may import it. It knows nothing of
 * models, files or GPUs.
 */

export { hasFileSystem } from './file-system.ts';
export { globalOf } from './globals.ts';
export { follow, type LinkedAbort, linkedAbort, until } from './interrupt.ts';
export { inTurns } from './turns.ts';
