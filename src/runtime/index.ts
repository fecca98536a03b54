/**
 * What a JavaScript runtime may or may not have, and how to stop waiting for it: globals that may be missing or throw, and waits that
 * an AbortSignal ends. Any room may import it. It knows nothing of models, files or GPUs.
 */

export { globalOf } from './globals.ts';
export { follow, type LinkedAbort, linkedAbort, until } from './interrupt.ts';
