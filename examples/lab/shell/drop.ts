import { signal } from '@preact/signals';
import type { LocalFile } from 'webgpu-bert';

/** What the tab in view does with what is dropped on the page. */
export interface DropTarget {
  /** A folder with a config.json. */
  onModel?: ((folder: string, files: readonly LocalFile[]) => void) | undefined;
  /** Anything else. */
  onFiles?: ((files: readonly File[]) => void) | undefined;
}

export const dropTarget = signal<DropTarget>({});
export const isDropping = signal(false);

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

async function take(data: DataTransfer): Promise<void> {
  // Entries must be asked for before anything is awaited: the list is gone afterwards.
  const entries = [...data.items].flatMap(item => item.webkitGetAsEntry() ?? []);
  const plain = [...data.files];
  const folder = entries.find(entry => entry.isDirectory);
  const files = (await Promise.all(entries.map(entry => filesBelow(entry, entry.name)))).flat();
  const { onModel, onFiles } = dropTarget.value;
  const isModel = files.some(({ name }) => name.split('/').at(-1) === 'config.json');
  if (isModel && onModel) onModel(folder?.name ?? 'files', files);
  else onFiles?.(folder ? files.map(file => ('blob' in file ? (file.blob as File) : file)) : plain);
}

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
    void take(event.dataTransfer);
  };
  document.addEventListener('dragover', over, { signal });
  document.addEventListener('dragleave', leave, { signal });
  document.addEventListener('drop', drop, { signal });
  return () => stop.abort();
}
