/** The parts of every error of this library: what went wrong, the actual value, the expected one, and what to do next. */
export interface Complaint {
  /** What went wrong, as a short clause: `tensor "pooler.dense.weight" has the wrong shape`. */
  what: string;
  /** The value that caused it, in words. */
  actual?: string | undefined;
  /** What would have been right, in words. */
  expected?: string | undefined;
  /** What the reader can do about it, as a full sentence. */
  next?: string | undefined;
  cause?: unknown;
}

/** A value in few words, for `actual`. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) {
    if (value.length === 0) return 'an empty list';
    if (value.length < 9 && value.every(Number.isFinite)) return `[${value.join(', ')}]`;
    return `a list of ${value.length}`;
  }
  if (value instanceof Promise) return 'a promise, which was not awaited';
  if (typeof value === 'object' && value) {
    const keys = Object.keys(value).slice(0, 4).join(', ');
    return keys === '' ? 'an object without fields' : `an object ({ ${keys} })`;
  }
  if (typeof value === 'function') return 'a function';
  return typeof value === 'number' ? `number ${value}` : String(value);
}

/** A text may quote a name from a file of somebody else's, which may be of any length. The lists of this library are shorter. */
const MAX_CHARACTERS = 1000;

function clipped(text: string): string;
function clipped(text: string | undefined): string | undefined;
function clipped(text: string | undefined): string | undefined {
  return text !== undefined && text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}

function sentence({ what, actual, expected, next }: Complaint): string {
  let text = clipped(what);
  if (actual !== undefined) text += `: got ${clipped(actual)}`;
  if (expected !== undefined) text += `${actual === undefined ? ':' : ','} expected ${clipped(expected)}`;
  return next === undefined ? `${text}.` : `${text}. ${clipped(next)}`;
}

/** The base of every error that this library throws on purpose; `name` is the class's name, also in a minified build. */
export class WebGPUBertError extends Error {
  override readonly name: string = 'WebGPUBertError';
  readonly what: string;
  readonly actual: string | undefined;
  readonly expected: string | undefined;
  readonly next: string | undefined;

  constructor(complaint: Complaint) {
    const { what, actual, expected, next, cause } = complaint;
    super(sentence(complaint), cause === undefined ? undefined : { cause });
    this.what = clipped(what);
    this.actual = clipped(actual);
    this.expected = clipped(expected);
    this.next = clipped(next);
  }
}

/** No WebGPU, no adapter, a limit that is too small, a lost device, a shader that does not compile. */
export class DeviceError extends WebGPUBertError {
  override readonly name = 'DeviceError';
}

/** A file could not be had, or is not what its name says (404, a web page instead of JSON, a wrong sha256). */
export class SourceError extends WebGPUBertError {
  override readonly name = 'SourceError';
  readonly file: string;
  readonly url: string | undefined;
  /** The HTTP status, where a server answered. */
  readonly status: number | undefined;

  constructor({ file, url, status, ...complaint }: Complaint & { file: string; url?: string; status?: number }) {
    super(complaint);
    this.file = clipped(file);
    this.url = clipped(url);
    this.status = status;
  }
}

/** The bytes of a checkpoint are malformed, or a tensor is missing or of another shape. */
export class CheckpointError extends WebGPUBertError {
  override readonly name = 'CheckpointError';
  readonly file: string | undefined;
  /** The name of the tensor, as in the file. */
  readonly tensor: string | undefined;

  constructor({ file, tensor, ...complaint }: Complaint & { file?: string; tensor?: string }) {
    super(complaint);
    this.file = clipped(file);
    this.tensor = clipped(tensor);
  }
}

/** A model, task or option that this library does not do; `supported` lists what it does. */
export class UnsupportedError extends WebGPUBertError {
  override readonly name = 'UnsupportedError';
  readonly supported: readonly string[];

  constructor({ supported, ...complaint }: Complaint & { supported: readonly string[] }) {
    super({ ...complaint, expected: complaint.expected ?? `one of ${supported.join(', ')}` });
    this.supported = supported;
  }
}

/**
 * A forward pass gave NaN or an infinity: the weights overflow what is computed with them. Only the calls that brought these sequences
 * reject.
 */
export class NotFiniteError extends WebGPUBertError {
  override readonly name = 'NotFiniteError';
  /** The output that holds the number, by its name in the model's answer. */
  readonly output: string;
  /** The index of the sequence in the call. */
  readonly sequence: number;

  constructor({ output, sequence, ...complaint }: Complaint & { output: string; sequence: number }) {
    super(complaint);
    this.output = output;
    this.sequence = sequence;
  }
}

/** An argument of a call is not what it should be. Nothing was run, nothing was changed. */
export class InputError extends WebGPUBertError {
  override readonly name = 'InputError';
}

/** The error for an argument that is not what it should be. */
export function wrong(name: string, value: unknown, expected: string, next?: string): InputError {
  return new InputError({ what: `${name} is wrong`, actual: describe(value), expected, next });
}

/** Returns `value` where it is one of the supported ones. Throws UnsupportedError, which lists these, for any other. */
export function oneOf<T>(name: string, value: unknown, supported: readonly T[], next?: string): T {
  if (supported.includes(value as T)) return value as T;
  throw new UnsupportedError({
    what: `${name} is not supported`,
    actual: describe(value),
    supported: supported.map(String),
    next,
  });
}

/**
 * Returns the options of a call; null and undefined mean none. Throws UnsupportedError for an option that the task does not have, since
 * a misspelt one would be ignored otherwise; InputError where the options are not an object.
 */
export function checkNames<Options extends object>(
  task: string,
  options: Options | null | undefined,
  names: readonly string[],
): Options {
  const checked = options ?? ({} as Options);
  if (typeof checked !== 'object' || Array.isArray(checked)) {
    const expected = `an object with some of ${names.join(', ')}`;
    throw new InputError({ what: `the options of ${task} are wrong`, actual: describe(checked), expected });
  }
  for (const name of Object.keys(checked)) {
    if (names.includes(name)) continue;
    throw new UnsupportedError({ what: `${task} has no option "${name}"`, supported: names });
  }
  checkSignals(checked);
  return checked;
}

/** Throws InputError where `signal` is no AbortSignal, or `progress_callback` no function, among the options of a load or a call. */
export function checkSignals({ signal, progress_callback }: { signal?: unknown; progress_callback?: unknown }): void {
  const isSignal = typeof Object(signal).throwIfAborted === 'function' && 'aborted' in Object(signal);
  if ((signal ?? null) !== null && !isSignal) {
    const next = signal instanceof AbortController ? 'Pass its `signal`.' : undefined;
    throw wrong('signal', signal, 'an AbortSignal', next);
  }
  if ((progress_callback ?? null) === null || typeof progress_callback === 'function') return;
  throw wrong('progress_callback', progress_callback, 'a function');
}
