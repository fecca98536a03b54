import { describe, SourceError } from '../../errors.ts';
import type { FileStore } from './store.ts';

/** Bytes from the start of a file that tell what kind of file it is. */
export const HEAD_BYTES = 32;

/** The error for a name that would lead out of the model's folder. */
export const unsafeName = (file: string): SourceError =>
  new SourceError({
    file,
    what: 'a file of a model has an unsafe name',
    actual: JSON.stringify(file),
    expected: 'a path below the folder of the model, of letters, digits and -_.+@=,~ and spaces',
    next: 'Name it otherwise in a copy of the model, and in the file that names it.',
  });

/**
 * The error for a file that begins like a web page or a pointer of Git LFS, which servers give in place of the file; undefined for any
 * other beginning. The length of a safetensors header leaves zeros in its first 8 bytes.
 */
export function substituted(file: string, head: Uint8Array, address: string): SourceError | undefined {
  if (head.subarray(0, 8).includes(0)) return undefined;
  const start = new TextDecoder().decode(head.subarray(0, HEAD_BYTES)).trimStart();
  // A vocabulary may begin with a token in angle brackets ("<s>"), which JSON and weights do not.
  const page = file.endsWith('.txt') ? /^<(!doctype|!--|html|\?xml)/i : /^<[!?a-z]/i;
  const isPage = page.test(start);
  if (!isPage && !start.startsWith('version https://git-lfs')) return undefined;
  return new SourceError({
    file,
    url: address,
    what: isPage ? `${address} gives a web page` : `${file} is a pointer of Git LFS`,
    actual: describe(start),
    expected: file.endsWith('.json') ? 'JSON' : `the file itself, ${file}`,
    next: isPage
      ? 'Check the path of the model: the server has no such file.'
      : 'Run "git lfs pull" where it was cloned.',
  });
}

/** The error for a file that is in none of the places. */
export function missing(file: string, model: string, stores: readonly FileStore[]): SourceError {
  const addresses = stores.map(store => store.address(file));
  return new SourceError({
    file,
    url: addresses.at(-1)!,
    status: 404,
    what: `${model} has no file ${file}`,
    actual: `nothing at ${addresses.join(' or ')}`,
    next: 'Check the model, its revision and subfolder, and what env allows.',
  });
}

/** The error for a file whose SHA-256 is not the one of the option `integrity`. */
export const wrongDigest = (
  file: string,
  address: string,
  digests: { actual: string; expected: string },
): SourceError =>
  new SourceError({
    file,
    url: address,
    what: `${file} is not the file it should be: its SHA-256 differs`,
    ...digests,
    next: 'It was changed or damaged; correct the digest if the change is wanted.',
  });

export const notJson = (file: string, address: string, bytes: Uint8Array, cause: unknown): SourceError =>
  new SourceError({
    file,
    url: address,
    what: `${file} is not valid JSON`,
    actual: describe(new TextDecoder().decode(bytes)),
    next: `See what ${address} gives: if it is cut off or damaged, download it again; else its author has to mend it.`,
    cause,
  });
