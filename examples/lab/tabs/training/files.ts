import { InputError } from 'webgpu-bert';
import { MOST_ZIP_BYTES, zipOf } from './zip.ts';

export const ACCEPT = '.csv,.tsv,.jsonl,.ndjson,.txt,text/plain,text/csv,text/tab-separated-values';

/**
 * The texts of files, one below the other. Throws InputError for one that is no text.
 * @param what a line has: "a label and a text"
 */
export async function readTexts(
  files: readonly File[],
  what: string,
  linesOf: (name: string, text: string) => string,
): Promise<string> {
  const texts: string[] = [];
  for (const file of files) {
    const text = await file.text();
    if (text.includes('\0') || text.trim() === '') {
      throw new InputError({
        what: text.trim() === '' ? 'the file is empty' : 'the file is no text',
        actual: file.name,
        expected: `lines with ${what}: .csv, .tsv, .jsonl or .txt, in UTF-8`,
        next: 'Save it as one of these, and drop it once more. Your lines are as they were.',
      });
    }
    texts.push(linesOf(file.name, text));
  }
  return texts.join('\n');
}

/**
 * Hands files to the browser's downloads, one after the other. Those of a model with folders come as one ZIP, since a download has no
 * folder. Throws InputError for files that are too large for one.
 * @param name of the folder in it
 */
export async function download(files: readonly File[], name: string): Promise<void> {
  const hasFolders = files.some(file => file.name.includes('/'));
  for (const file of hasFolders ? [await zipOf(name, checkedSize(files))] : files) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = file.name;
    link.click();
    // Browsers drop downloads that come in the same moment, and read the file after the click.
    await new Promise(resolve => setTimeout(resolve, 200));
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

function checkedSize(files: readonly File[]): readonly File[] {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (bytes <= MOST_ZIP_BYTES) return files;
  throw new InputError({
    what: 'the files are too large for a ZIP file',
    actual: `${bytes} bytes`,
    expected: `at most ${MOST_ZIP_BYTES}`,
    next: 'Save them into a folder, in a browser that writes folders.',
  });
}

type FolderPicker = (options: { mode: 'readwrite' }) => Promise<FileSystemDirectoryHandle>;

/** Undefined in browsers that write no folders. */
export const folderPicker = (): FolderPicker | undefined =>
  (globalThis as { showDirectoryPicker?: FolderPicker }).showDirectoryPicker;

export async function writeTo(folder: FileSystemDirectoryHandle, files: readonly File[]): Promise<void> {
  for (const file of files) {
    const path = file.name.split('/');
    let parent = folder;
    for (const part of path.slice(0, -1)) parent = await parent.getDirectoryHandle(part, { create: true });
    const handle = await parent.getFileHandle(path.at(-1)!, { create: true });
    const stream = await handle.createWritable();
    await stream.write(file);
    await stream.close();
  }
}
