/** What every error of this library says: what went wrong, what was found, what was expected, and what to do next. */
export interface Complaint {
  /** What went wrong, as a short clause: `tensor "pooler.dense.weight" has the wrong shape`. */
  what: string;
  /** What was found. */
  actual?: string | undefined;
  /** What would have been right. */
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
  if (typeof value === 'object' && value) return `an object ({ ${Object.keys(value).slice(0, 4).join(', ')} })`;
  return typeof value === 'number' ? `number ${value}` : String(value);
}

/** A part of a message may quote a name of a foreign file, which may be of any length. */
const MOST_CHARACTERS = 600;

/** A complaint whose texts are no longer than that; what else a subclass is told stays as it is. */
function clipped<C extends Complaint>(complaint: C): C {
  const parts = Object.entries(complaint).map(([name, part]) => [
    name,
    typeof part === 'string' && part.length > MOST_CHARACTERS ? `${part.slice(0, MOST_CHARACTERS)}…` : part,
  ]);
  return Object.fromEntries(parts) as C;
}

function sentence({ what, actual, expected, next }: Complaint): string {
  let text = what;
  if (actual !== undefined) text += `: got ${actual}`;
  if (expected !== undefined) text += `${actual === undefined ? ':' : ','} expected ${expected}`;
  return next === undefined ? `${text}.` : `${text}. ${next}`;
}

/** The base of every error this library throws on purpose; `name` is the class's name, also in a minified build. */
export class WebGPUBertError extends Error {
  override readonly name: string = 'WebGPUBertError';
  declare readonly what: string;
  declare readonly actual: string | undefined;
  declare readonly expected: string | undefined;
  declare readonly next: string | undefined;

  /** What a subclass is told beside a complaint becomes its fields. */
  constructor({ cause, ...given }: Complaint) {
    const complaint = clipped(given);
    super(sentence(complaint), cause === undefined ? undefined : { cause });
    Object.assign(this, complaint);
  }
}

/** No WebGPU, no adapter, a limit that is too small, a lost device, a shader that does not compile. */
export class DeviceError extends WebGPUBertError {
  override readonly name = 'DeviceError';
}

/** A file could not be had, or is not what its name says (404, a web page instead of JSON, a wrong sha256). */
export class SourceError extends WebGPUBertError {
  override readonly name = 'SourceError';
  declare readonly file: string;
  declare readonly url: string | undefined;
  declare readonly status: number | undefined;

  constructor(complaint: Complaint & { file: string; url?: string; status?: number }) {
    super(complaint);
  }
}

/** The bytes of a checkpoint are malformed, or a tensor is missing or of another shape. */
export class CheckpointError extends WebGPUBertError {
  override readonly name = 'CheckpointError';
  declare readonly file: string | undefined;
  declare readonly tensor: string | undefined;

  constructor(complaint: Complaint & { file?: string; tensor?: string }) {
    super(complaint);
  }
}

/** A model, task or option that this library does not do; `supported` lists what it does. */
export class UnsupportedError extends WebGPUBertError {
  override readonly name = 'UnsupportedError';
  declare readonly supported: readonly string[];

  constructor(complaint: Complaint & { supported: readonly string[] }) {
    super({ ...complaint, expected: complaint.expected ?? `one of ${complaint.supported.join(', ')}` });
  }
}

/**
 * A forward pass gave NaN or an infinity: weights that overflow what is computed with them. Only the calls whose sequences these
 * are reject.
 */
export class NotFiniteError extends WebGPUBertError {
  override readonly name = 'NotFiniteError';
  /** The output that holds it, by its name in the model's answer. */
  declare readonly output: string;
  /** Which sequence of the call, from 0. */
  declare readonly sequence: number;

  constructor(complaint: Complaint & { output: string; sequence: number }) {
    super(complaint);
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

/** A value that this library does. Throws UnsupportedError for another, with the list. */
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
 * The options of a call; null and undefined are none. Throws UnsupportedError for one that a task does not have: a misspelt
 * option would be ignored otherwise. Throws InputError for what is no object.
 */
export function checkNames<Options extends object>(
  task: string,
  options: Options | null | undefined,
  names: readonly string[],
): Options {
  const given = options ?? ({} as Options);
  if (typeof given !== 'object') throw wrong(`the options of ${task}`, given, 'an object');
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    throw new UnsupportedError({ what: `${task} has no option "${name}"`, supported: names });
  }
  return given;
}
