import { PretrainedConfig, Tensor, type TensorData } from '../api/index.ts';
import { wrong } from '../errors.ts';
import { type PackedError, packedError, unpackedError } from './packed-error.ts';

/**
 * Values that a structured clone would change or refuse: each is a plain value where it stands, and a mark says what it was. The receiver
 * touches the marked places alone, so that a long answer costs it no walk.
 */
export interface Packed<Reference> {
  readonly value: unknown;
  /** Those inside of a value come before its own. */
  readonly marks: readonly Mark<Reference>[];
}

type Path = readonly (string | number)[];

/** `R` is what either side says of what it keeps: see protocol.ts. */
type Mark<R> = { readonly path: Path } & (
  | { readonly kind: 'tensor' | 'config' | 'url' | 'word_ids' }
  | { readonly kind: 'error'; readonly error: PackedError<Packed<R>> }
  | { readonly kind: 'reference'; readonly reference: R }
  /** Properties that are not enumerable. */
  | { readonly kind: 'hidden'; readonly fields: Packed<R> }
);

/** A value that cannot leave its thread. */
export class Unpackable extends Error {
  constructor(
    readonly value: unknown,
    readonly path: Path,
  ) {
    super(`${nameOf(value)} at ${path.join('.')}`);
  }
}

/** Lists of numbers may be long: none of these gets a path. */
const isPrimitive = (value: unknown): value is string | number | bigint | boolean | null | undefined =>
  value === null || !['object', 'function', 'symbol'].includes(typeof value);

/** What a value is, in a word or two. */
function nameOf(value: unknown): string {
  const kind = typeof value === 'object' ? Object.prototype.toString.call(value).slice(8, -1) : typeof value;
  if (kind !== 'Object') return `a ${kind}`;
  return `an instance of ${(value as { constructor?: { name?: string } }).constructor?.name || 'a class'}`;
}

export interface Packing<R> {
  readonly packed: Packed<R>;
  /** The memory of all typed arrays, for whom they are no longer needed by. */
  readonly buffers: ArrayBuffer[];
}

/**
 * Packs a value. `refer` names what is kept on this side; undefined: it is not kept.
 * Throws Unpackable for functions, and for instances of classes, that it gives no name for.
 */
export function pack<R>(root: unknown, refer: (value: object) => R | undefined): Packing<R> {
  const marks: Mark<R>[] = [];
  const buffers = new Set<ArrayBuffer>();
  const inside = (value: unknown): Packed<R> => {
    const packing = pack(value, refer);
    for (const buffer of packing.buffers) buffers.add(buffer);
    return packing.packed;
  };

  const walk = (value: unknown, path: Path): unknown => {
    if (isPrimitive(value)) return value;
    if (typeof value === 'symbol') throw new Unpackable(value, path);
    const reference = refer(value as object);
    if (reference !== undefined) {
      marks.push({ path, kind: 'reference', reference });
      return undefined;
    }
    if (ArrayBuffer.isView(value)) {
      const whole = wholeView(value);
      buffers.add(whole.buffer);
      return whole;
    }
    if (value instanceof ArrayBuffer) buffers.add(value);
    if (isCloned(value)) return value;
    if (value instanceof URL) {
      marks.push({ path, kind: 'url' });
      return value.href;
    }
    if (value instanceof Error) {
      marks.push({ path, kind: 'error', error: packedError(value, inside) });
      return undefined;
    }
    const plain = walkFields(value, path);
    const fields = hiddenFields(value);
    if (Object.keys(fields).length > 0) marks.push({ path, kind: 'hidden', fields: inside(fields) });
    return plain;
  };

  const walkFields = (value: object, path: Path): unknown => {
    if (value instanceof Tensor) {
      const data = walk(value.data, path);
      marks.push({ path, kind: 'tensor' });
      return { type: value.type, data, dims: [...value.dims] };
    }
    if (value instanceof PretrainedConfig) {
      marks.push({ path, kind: 'config' });
      return walkFields({ ...value }, path);
    }
    if (value instanceof WordIds) {
      marks.push({ path, kind: 'word_ids' });
      return value.rows;
    }
    if (isFileList(value) || Array.isArray(value)) {
      return Array.from(value, (item: unknown, i) =>
        isPrimitive(item) ? item : walk(isInFolder(item) ? localFile(item) : item, [...path, i]),
      );
    }
    if (!isPlain(value)) throw new Unpackable(value, path);
    // As own fields, whatever their names are: also one that is called __proto__.
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, walk(field, [...path, name])]));
  };

  return { packed: { value: walk(root, []), marks }, buffers: [...buffers] };
}

/** What was packed. `resolve` gives what a reference stands for. */
export function unpack<R>({ value, marks }: Packed<R>, resolve: (reference: R) => unknown): unknown {
  const root: Record<string | number, unknown> = { value };
  for (const mark of marks) {
    const path = ['value', ...mark.path];
    const name = path.pop()!;
    const parent = path.reduce((object, key) => object[key] as typeof root, root);
    parent[name] = restored(parent[name], mark, resolve);
  }
  return root.value;
}

function restored<R>(value: unknown, mark: Mark<R>, resolve: (reference: R) => unknown): unknown {
  switch (mark.kind) {
    case 'tensor': {
      const { type, data, dims } = value as { type: Tensor['type']; data: TensorData; dims: readonly number[] };
      return new Tensor(type, data, dims);
    }
    case 'config':
      return new PretrainedConfig(value);
    case 'url':
      return new URL(value as string);
    case 'word_ids':
      return wordIdsOf(value as WordIds['rows']);
    case 'error':
      return unpackedError(mark.error, packed => unpack(packed, resolve));
    case 'reference':
      return resolve(mark.reference);
    case 'hidden': {
      const fields = Object.entries(unpack(mark.fields, resolve) as object);
      return Object.defineProperties(
        value,
        Object.fromEntries(fields.map(([name, field]) => [name, { value: field, enumerable: false }])),
      );
    }
    default:
      return mark satisfies never;
  }
}

/** The properties that a structured clone leaves out. */
function hiddenFields(value: object): Record<string, unknown> {
  const descriptors = Object.entries(Object.getOwnPropertyDescriptors(value));
  const hidden = descriptors.filter(
    ([name, { enumerable }]) => !enumerable && !(Array.isArray(value) && name === 'length'),
  );
  return Object.fromEntries(
    hidden.map(([name, descriptor]) => [
      name,
      name === 'word_ids' ? new WordIds(value as Tokenized) : descriptor.value,
    ]),
  );
}

/** The result of a tokenizer's call, which has a function: its answers for all rows cross instead. */
interface Tokenized {
  readonly input_ids: Tensor | readonly number[] | readonly (readonly number[])[];
  word_ids(row: number): (number | null)[];
}

class WordIds {
  readonly rows: (number | null)[][];

  constructor(result: Tokenized) {
    const { input_ids } = result;
    const isList = Array.isArray(input_ids) && !Array.isArray(input_ids[0]);
    const count = input_ids instanceof Tensor ? input_ids.dims[0]! : isList ? 1 : input_ids.length;
    this.rows = Array.from({ length: count }, (_, row) => result.word_ids(row));
  }
}

const wordIdsOf =
  (rows: WordIds['rows']) =>
  (row = 0): (number | null)[] => {
    const ids = rows[row];
    if (ids) return [...ids];
    throw wrong('the row', row, `a whole number from 0 to ${rows.length - 1}`);
  };

/** The same view, or a copy where its memory has more in it, all of which would cross with it. */
function wholeView(view: ArrayBufferView): ArrayBufferView<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = view;
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) return view as ArrayBufferView<ArrayBuffer>;
  const copy = new Uint8Array(buffer, byteOffset, byteLength).slice().buffer;
  return new (view.constructor as new (memory: ArrayBuffer) => ArrayBufferView<ArrayBuffer>)(copy);
}

/** Whether a structured clone is the same, and nothing inside of it needs a mark. */
const isCloned = (value: object): boolean =>
  value instanceof ArrayBuffer ||
  value instanceof Blob ||
  value instanceof Date ||
  value instanceof RegExp ||
  // A vocabulary, which may be long.
  (value instanceof Map && [...value].every(entry => entry.every(isPrimitive)));

const isFileList = (value: object): value is FileList => Object.prototype.toString.call(value) === '[object FileList]';

/** A file that was chosen with its folder. Any other is cloned with its name. */
const isInFolder = (value: unknown): value is File =>
  value instanceof Blob && Boolean((value as Partial<File>).webkitRelativePath);

/** No standard says that a clone keeps the path of a file. */
const localFile = (file: File) => ({ name: file.webkitRelativePath, blob: file });

/** Also of another frame, whose Object is another one. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return typeof value === 'object' && (prototype === null || Object.getPrototypeOf(prototype) === null);
}
