import { withSharedJson } from '../api/index.ts';
import { noWeights, parseShardIndex } from '../checkpoint/file/index.ts';
import {
  inside,
  type ManagedSource,
  type ModelFile,
  type ModelSource,
  type SourceFile,
} from '../checkpoint/source/index.ts';
import { refusalOf } from '../engine/index.ts';
import { SourceError, WebGPUBertError } from '../errors.ts';

export const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** A file that a load would read. */
export interface ListedFile {
  readonly file: string;
  /** Undefined where only a server could tell, and none was asked. */
  readonly stat: SourceFile | undefined;
}

/** A reading has come to a file that only a server could tell something about. */
class NotAtHand extends Error {}

/** Lists the files of a model, in the order of a load. Asks once for each. */
export class FileLister {
  readonly #source: ManagedSource;
  readonly #cachedOnly: boolean;
  readonly #stats = new Map<string, Promise<SourceFile | undefined>>();

  /** @param cachedOnly no server is asked: a file that may exist is listed without its `stat` */
  constructor(source: ManagedSource, { cachedOnly = false }: { cachedOnly?: boolean } = {}) {
    this.#source = source;
    this.#cachedOnly = cachedOnly;
  }

  stat(file: string): Promise<SourceFile | undefined> {
    const stat = this.#stats.get(file) ?? this.#source.stat(file, { cachedOnly: this.#cachedOnly });
    this.#stats.set(file, stat);
    return stat;
  }

  /**
   * config.json, which a static model may lack, and the weights: one file, or the index and its shards. Throws SourceError where there
   * are none, UnsupportedError for a model that is not supported.
   */
  async model(folder = '', { isStatic = false }: { isStatic?: boolean | undefined } = {}): Promise<ListedFile[]> {
    const file = inside(folder, CONFIG);
    const config = await this.#optional(file);
    // Without a question to a server a model is listed as far as it is at hand, also one that is not supported: it can be removed.
    const refusal = this.#cachedOnly ? undefined : await refusalOf(this.#source, folder);
    if (refusal) throw refusal;
    if (!config && !isStatic) throw this.#missing(file);
    return [...(config ? [config] : []), ...(await this.#weights(folder))];
  }

  /**
   * Lists the files that `load` asks a source for. It can read JSON files; of others it gets the size alone.
   * @param isRequired whether a model that `load` refuses is an error, unless no server is asked. Default: what it has read is listed
   */
  async read(load: (source: ModelSource) => Promise<unknown>, { isRequired = false } = {}): Promise<ListedFile[]> {
    const listed = new Map<string, ListedFile | undefined>();
    const calls: Promise<unknown>[] = [];
    /** Notes a file. Undefined where it does not exist. */
    const note = async (file: string, isOptional = false): Promise<ListedFile | undefined> => {
      // The list has the order in which the files were asked for.
      if (!listed.has(file)) listed.set(file, undefined);
      const entry = isOptional ? await this.#optional(file) : await this.#required(file);
      if (entry) listed.set(file, entry);
      if (entry && !entry.stat) throw new NotAtHand();
      return entry;
    };
    const called = <T>(call: Promise<T>): Promise<T> => {
      calls.push(call);
      return call;
    };
    const open = async (file: string, isOptional?: boolean) => {
      const entry = await note(file, isOptional);
      return entry && withoutContent(entry.stat?.size);
    };
    const json = async (file: string, isOptional?: boolean) =>
      (await note(file, isOptional)) ? this.#source.json(file, { optional: isOptional ?? false }) : undefined;
    const noting: ModelSource = {
      name: this.#source.name,
      open: (file, options) => called(open(file, options?.optional)),
      json: (file, options) => called(json(file, options?.optional)),
    };
    try {
      await load(withSharedJson(noting));
    } catch (error) {
      // What was asked for at the same time is listed too.
      await Promise.allSettled(calls);
      // The files after one that is not at hand are unknown; after one that is missing or not supported a load reads no more either.
      const endsLoad = error instanceof WebGPUBertError && !(error instanceof SourceError && error.url !== undefined);
      const isRefused = isRequired && !this.#cachedOnly;
      if (!(error instanceof NotAtHand || (endsLoad && !isRefused))) throw error;
    }
    return [...listed.values()].filter(entry => entry !== undefined);
  }

  /** Undefined where it is known that the file does not exist. */
  async #optional(file: string): Promise<ListedFile | undefined> {
    const stat = await this.stat(file);
    return stat && !stat.exists ? undefined : { file, stat };
  }

  async #required(file: string): Promise<ListedFile> {
    const entry = await this.#optional(file);
    if (entry) return entry;
    throw this.#missing(file);
  }

  #missing(file: string): SourceError {
    const what = `${this.#source.name} has no file ${file}`;
    return new SourceError({ file, status: 404, what, next: 'Check the model, its revision and subfolder.' });
  }

  async #weights(folder: string): Promise<ListedFile[]> {
    const [file, indexFile] = [inside(folder, WEIGHTS), inside(folder, INDEX)];
    const single = await this.stat(file);
    if (single?.exists) return [{ file, stat: single }];
    const index = await this.stat(indexFile);
    if (index?.exists) {
      const { files } = parseShardIndex(await this.#source.json(indexFile), indexFile);
      const shards = await Promise.all(files.map(name => this.#required(inside(folder, name))));
      return [{ file: indexFile, stat: index }, ...shards];
    }
    // Where both may exist, the single file is the usual one.
    if (!single) return [{ file, stat: undefined }];
    if (!index) return [{ file: indexFile, stat: undefined }];
    throw await noWeights(this.#source, folder, async name => (await this.stat(name))?.exists ?? false);
  }
}

/** An opened file that ends at once: a lister does not need the content, but a reader waits for its end. */
function withoutContent(size: number | undefined): ModelFile {
  async function* nothing(): AsyncGenerator<Uint8Array> {}
  return { size, bytes: nothing(), cancel: async () => undefined };
}
