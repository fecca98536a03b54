import { InputError } from 'webgpu-bert';

export const ACCEPT = '.csv,.tsv,.jsonl,.ndjson,.txt,text/plain,text/csv,text/tab-separated-values';

/** The texts of files, one below the other. Throws InputError for one that is no text. */
export async function readTexts(files: readonly File[], linesOf: (name: string, text: string) => string) {
  const texts: string[] = [];
  for (const file of files) {
    const text = await file.text();
    if (text.includes('\0') || text.trim() === '') {
      throw new InputError({
        what: text.trim() === '' ? 'the file is empty' : 'the file is no text',
        actual: file.name,
        expected: 'lines with a label and a text: .csv, .tsv, .jsonl or .txt, in UTF-8',
        next: 'Save it as one of these, and drop it once more. Your lines are as they were.',
      });
    }
    texts.push(linesOf(file.name, text));
  }
  return texts.join('\n');
}

/** Hands files to the browser's downloads, one after the other. */
export async function download(files: readonly File[]): Promise<void> {
  for (const file of files) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = file.name;
    link.click();
    // Browsers drop downloads that come in the same moment, and read the file after the click.
    await new Promise(resolve => setTimeout(resolve, 200));
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

type FolderPicker = (options: { mode: 'readwrite' }) => Promise<FileSystemDirectoryHandle>;

/** Undefined in browsers that write no folders. */
export const folderPicker = (): FolderPicker | undefined =>
  (globalThis as { showDirectoryPicker?: FolderPicker }).showDirectoryPicker;

export async function writeTo(folder: FileSystemDirectoryHandle, files: readonly File[]): Promise<void> {
  for (const file of files) {
    const handle = await folder.getFileHandle(file.name, { create: true });
    const stream = await handle.createWritable();
    await stream.write(file);
    await stream.close();
  }
}
