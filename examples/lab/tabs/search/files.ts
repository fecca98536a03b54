import { InputError } from 'webgpu-bert';
import { csvLines } from './csv.ts';
import type { Source, Unit } from './passages.ts';

/** Files of these types are read; what else is dropped is named as left out. */
const TEXT = /\.(?:txt|text|md|markdown|csv|tsv|log)$/i;
const TABLE = /\.(?:csv|tsv)$/i;

export const ACCEPT = '.txt,.text,.md,.markdown,.csv,.tsv,.log,text/plain,text/markdown,text/csv';

const refused = (what: string, actual: string): InputError =>
  new InputError({
    what,
    actual,
    expected: 'plain text: .txt, .md or .csv, in UTF-8',
    next: 'Save it as plain text, and drop it once more.',
  });

/** The texts of files. Throws InputError where none of them is a text. */
export async function readFiles(files: readonly File[], unit: Unit): Promise<{ sources: Source[]; leftOut: string[] }> {
  const sources: Source[] = [];
  const leftOut: string[] = [];
  for (const file of files) {
    const isNamedText = TEXT.test(file.name) || file.type.startsWith('text/');
    const text = isNamedText ? (await file.text()).replace(/^\uFEFF/, '') : '\0';
    if (text.includes('\0') || text.trim() === '') leftOut.push(file.name);
    else if (TABLE.test(file.name)) {
      sources.push({
        name: file.name,
        text: csvLines(text, file.name.endsWith('.tsv') ? '\t' : undefined),
        unit: 'lines',
      });
    } else sources.push({ name: file.name, text, unit });
  }
  if (sources.length === 0) {
    throw refused(files.length === 1 ? 'the file has no text' : 'no file has a text', leftOut.join(', ') || 'no file');
  }
  return { sources, leftOut };
}
