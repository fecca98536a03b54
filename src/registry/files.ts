import { parseShardIndex } from '../checkpoint/file/index.ts';
import { inside, type ManagedSource, type ModelSource, type SourceFile } from '../checkpoint/source/index.ts';
import { SourceError, WebGPUBertError } from '../errors.ts';

export const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** A file that a load would read. */
export interface ListedFile {
  readonly file: string;
  /** What is known of it; undefined where it is not at hand and nobody was asked. */
  readonly known: SourceFile | undefined;
}

/** Lists the files of a model, in the order of a load. */
export interface FileLister {
  /** config.json, and the weights: one file, or the index and its shards. Throws SourceError where there are none. */
  model(folder?: string): Promise<ListedFile[]>;
  /** Those that `read` asks a source for beside the model's: JSON files are read, of others no more than the size is asked for. */
  read(read: (source: ModelSource) => Promise<unknown>): Promise<ListedFile[]>;
}

/** @param kept no server is asked: a file that is not at hand, and may exist, is listed with nothing known of it */
export function fileLister(source: ManagedSource, kept: boolean): FileLister {
  const stat = (file: string) => source.stat(file, { kept });
  /** None where it is known that there is no such file. */
  const optional = async (file: string): Promise<ListedFile[]> => {
    const known = await stat(file);
    return known && !known.exists ? [] : [{ file, known }];
  };

  async function required(file: string): Promise<ListedFile> {
    const [listed] = await optional(file);
    if (listed) return listed;
    throw new SourceError({ file, status: 404, what: `${source.name} has no file ${file}`, next: 'Check the model.' });
  }

  async function weights(folder: string): Promise<ListedFile[]> {
    const [file, indexFile] = [inside(folder, WEIGHTS), inside(folder, INDEX)];
    const single = await stat(file);
    if (single?.exists) return [{ file, known: single }];
    const index = await stat(indexFile);
    if (index?.exists) {
      const { files } = parseShardIndex(await source.json(indexFile), indexFile);
      return [
        { file: indexFile, known: index },
        ...(await Promise.all(files.map(name => required(inside(folder, name))))),
      ];
    }
    // Of what is unknown, the usual.
    if (!single) return [{ file, known: undefined }];
    if (!index) return [{ file: indexFile, known: undefined }];
    throw new SourceError({
      file,
      status: 404,
      what: `${source.name} has no weights that can be read`,
      actual: `neither ${file} nor ${indexFile}`,
      next: 'Other kinds of files are not read.',
    });
  }

  return {
    async model(folder = '') {
      return [await required(inside(folder, CONFIG)), ...(await weights(folder))];
    },

    async read(read) {
      const listed = new Map<string, ListedFile>();
      /** Notes a file; whether it can be read here. */
      const note = async (file: string, isOptional: boolean): Promise<boolean> => {
        const [found] = isOptional ? await optional(file) : [await required(file)];
        if (found) listed.set(file, found);
        if (found && !found.known) throw new Unknown();
        return found !== undefined;
      };
      const noting: ModelSource = {
        name: source.name,
        async open(file, options) {
          if (!(await note(file, options?.optional ?? false))) return undefined;
          // Nobody here needs what is in it, but whoever reads it waits for its end.
          const stream = new ReadableStream<Uint8Array>({ start: controller => controller.close() });
          return { size: listed.get(file)?.known?.size, stream };
        },
        async json(file, options) {
          return (await note(file, options?.optional ?? false)) ? source.json(file, options) : undefined;
        },
      };
      try {
        await read(noting);
      } catch (error) {
        // What comes after a file that is not at hand is unknown; what is missing, or not supported, is not read by a load either.
        const isUnread = error instanceof WebGPUBertError && !(error instanceof SourceError && error.url !== undefined);
        if (!(error instanceof Unknown || isUnread)) throw error;
      }
      return [...listed.values()];
    },
  };
}

/** A file would have to be asked for. */
class Unknown extends Error {}
