import { signal } from '@preact/signals';
import { InputError, type LocalFile } from 'webgpu-bert';

/** What the tab in view does with what is dropped on the page. */
export interface DropTarget {
  /** A folder with a checkpoint. */
  onModel?: ((folder: string, files: readonly LocalFile[]) => void) | undefined;
  /** Anything else. */
  onFiles?: ((files: readonly File[]) => void) | undefined;
}

export const dropTarget = signal<DropTarget>({});
export const isDropping = signal(false);
/** Why nothing came of the last drop. */
export const dropProblem = signal<unknown>(undefined);

/** All files below an entry of a drop, by their paths. */
async function filesBelow(entry: FileSystemEntry, path: string): Promise<LocalFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ name: path, blob: file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: LocalFile[] = [];
  // A reader gives some entries at a time; an empty list is the end.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const child of entries) files.push(...(await filesBelow(child, `${path}/${child.name}`)));
  }
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** Whether there are weights beside a config.json, or in a folder below it: other folders have files of that name, too. */
export function hasCheckpoint(paths: readonly string[]): boolean {
  const folders = paths.filter(path => /(^|\/)config\.json$/.test(path)).map(folderOf);
  return paths.some(path => path.endsWith('.safetensors') && folders.some(folder => path.startsWith(folder)));
}

async function take(data: DataTransfer): Promise<void> {
  // Entries must be asked for before anything is awaited: the list is gone afterwards.
  const entries = [...data.items].flatMap(item => item.webkitGetAsEntry() ?? []);
  const plain = [...data.files];
  const folder = entries.find(entry => entry.isDirectory);
  const files = (await Promise.all(entries.map(entry => filesBelow(entry, entry.name)))).flat();
  const { onModel, onFiles } = dropTarget.value;
  if (onModel && hasCheckpoint(files.map(({ name }) => name))) onModel(folder?.name ?? 'files', files);
  else if (onFiles) onFiles(folder ? files.map(file => ('blob' in file ? (file.blob as File) : file)) : plain);
  else throw noModel(entries.map(({ name }) => name));
}

const noModel = (names: readonly string[]): InputError =>
  new InputError({
    what: 'there is no model in what was dropped',
    actual: names.join(', ') || 'no file',
    expected: 'the folder of a checkpoint: config.json, model.safetensors and the files of its tokenizer',
    next: 'Drop such a folder. Texts to be searched are dropped in the tab of search.',
  });

export function watchDrops(): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const over = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    isDropping.value = true;
  };
  const leave = (event: DragEvent) => {
    if (!event.relatedTarget) isDropping.value = false;
  };
  const drop = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    isDropping.value = false;
    dropProblem.value = undefined;
    take(event.dataTransfer).catch(error => {
      dropProblem.value = error;
    });
  };
  document.addEventListener('dragover', over, { signal });
  document.addEventListener('dragleave', leave, { signal });
  document.addEventListener('drop', drop, { signal });
  return () => stop.abort();
}
