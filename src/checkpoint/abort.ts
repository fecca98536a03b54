/** An AbortController that follows another signal until it is released. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Ends the listening at the other signal, which may live as long as the page. Idempotent. */
  release(): void;
}

/** `AbortSignal.any` would stay registered with the caller's signal for as long as that one lives. */
export function linkedAbort(other: AbortSignal | undefined): LinkedAbort {
  const own = new AbortController();
  const follow = () => own.abort(other?.reason);
  if (other?.aborted) follow();
  else other?.addEventListener('abort', follow);
  return {
    signal: own.signal,
    abort: reason => own.abort(reason),
    release: () => other?.removeEventListener('abort', follow),
  };
}
