import type { LocalFile, ModelLocation } from 'webgpu-bert';
import { placeOf } from './local-models.ts';

/** Which model a person has chosen: a hub id or a URL; or files from a folder, whose name it bears. */
export type ModelChoice =
  | { readonly id: string }
  | { readonly folder: string; readonly files: readonly LocalFile[]; readonly serial: number };

let folders = 0;

/** Two folders may have one name: each is given a number. */
export const folderChoice = (folder: string, files: readonly LocalFile[]): ModelChoice => ({
  folder,
  files,
  serial: ++folders,
});

/** Unique on this page. */
export const nameOf = (choice: ModelChoice): string =>
  'id' in choice ? choice.id : `folder ${choice.serial} ${choice.folder}`;

/** The name without the owner, or the last part of a URL. */
export function shortNameOf(choice: ModelChoice): string {
  if ('folder' in choice) return choice.folder;
  const parts = choice.id.split('/').filter(part => part !== '');
  return parts.at(-1) ?? choice.id;
}

export const placeOfChoice = async (choice: ModelChoice): Promise<ModelLocation> =>
  'id' in choice ? placeOf(choice.id) : choice.files;
