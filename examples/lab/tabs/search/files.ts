import { InputError } from 'webgpu-bert';
import { csvLines } from './csv.ts';
import { passagesOf, type Source, type Unit } from './passages.ts';

/** Files of these types are read; what else is dropped is named as left out. */
const TEXT = /\.(?:txt|text|md|markdown|csv|tsv|log)$/i;
const TABLE = /\.(?:csv|tsv)$/i;

export const ACCEPT = '.txt,.text,.md,.markdown,.csv,.tsv,.log,text/plain,text/markdown,text/csv';

/** What is read of files or of a field; and the names of those that are left out, since no passage could be found in them. */
export interface Read {
  readonly sources: Source[];
  readonly leftOut: string[];
}

const refused = (what: string, actual: string): InputError =>
  new InputError({
    what,
    actual,
    expected: 'words or numbers as plain text: .txt, .md or .csv, in UTF-8',
    next: 'Save it as plain text in UTF-8, and drop it once more.',
  });

/** The text of bytes in UTF-8, or in UTF-16 where they begin with its mark; undefined where they are neither. */
function decoded(bytes: ArrayBuffer): string | undefined {
  const [first, second] = new Uint8Array(bytes);
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

async function sourceOf(file: File, unit: Unit): Promise<Source | undefined> {
  const { name } = file;
  const isNamedText = TEXT.test(name) || file.type.startsWith('text/');
  const text = isNamedText ? decoded(await file.arrayBuffer()) : undefined;
  if (text === undefined || text.includes('\0')) return undefined;
  if (!TABLE.test(name)) return { name, text, unit };
  return { name, text: csvLines(text, /\.tsv$/i.test(name) ? '\t' : undefined), unit: 'lines' };
}

const hasPassage = (source: Source): boolean => passagesOf(source).next().done === false;

/** The texts of files. Throws InputError where none of them has a passage. */
export async function readFiles(files: readonly File[], unit: Unit): Promise<Read> {
  const sources: Source[] = [];
  const leftOut: string[] = [];
  for (const file of files) {
    const source = await sourceOf(file, unit);
    if (source && hasPassage(source)) sources.push(source);
    else leftOut.push(file.name);
  }
  if (sources.length === 0) {
    throw refused(files.length === 1 ? 'the file has no text' : 'no file has a text', leftOut.join(', ') || 'no file');
  }
  return { sources, leftOut };
}

/** Text that was pasted, named by its first line. Throws InputError where it has no passage. */
export async function readPasted(text: string, unit: Unit): Promise<Read> {
  const line = [...text.trim().split('\n')[0]!.trim()];
  // By characters: half of an emoji is none.
  const name = line.length > 40 ? `${line.slice(0, 39).join('').trimEnd()}…` : line.join('');
  const source = { name, text, unit };
  if (!hasPassage(source)) throw refused('the text has neither a word nor a number', name);
  return { sources: [source], leftOut: [] };
}
