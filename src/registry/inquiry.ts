import { env, readTokenizerFiles } from '../api/index.ts';
import { inside, type ManagedSource, type ModelLocation, openSource } from '../checkpoint/source/index.ts';
import { openSentence, type SentenceModules } from '../engine/index.ts';
import { taskOf } from '../tasks/index.ts';
import { CONFIG, FileLister, type ListedFile } from './file-lister.ts';
import type { DownloadSize, RegistryOptions } from './types.ts';

interface ListOptions {
  /** No server is asked. Default: false. */
  cachedOnly?: boolean;
}

/** The files of sentence-transformers beside an encoder. */
interface SentenceFiles {
  files: ListedFile[];
  /** The folder of the encoder's own files. */
  folder: string;
  modules: SentenceModules | undefined;
  /** Whether modules.json says that the model is static. Undefined where the task takes no such model. */
  isStatic: Promise<boolean> | undefined;
}

/** A question about the files of one model, and of the task that it is to do. */
export class Inquiry {
  readonly source: ManagedSource;
  /** Undefined for a model without a task. */
  readonly task: ReturnType<typeof taskOf> | undefined;
  readonly options: RegistryOptions;

  /** @throws InputError for a malformed location, UnsupportedError for a task that is not built */
  constructor(model: ModelLocation, options: RegistryOptions | null | undefined, task?: string) {
    this.options = options ?? {};
    this.task = task === undefined ? undefined : taskOf(task);
    const { revision, subfolder, local_files_only, signal } = this.options;
    // Questions write nothing to the cache: the page has not decided for the model yet.
    this.source = openSource(model, { revision, subfolder, local_files_only, signal }, env, { keeps: false });
  }

  /** All files of a load, in its order: the model's, the tokenizer's, those of sentence-transformers. */
  async files({ cachedOnly = false }: ListOptions = {}): Promise<ListedFile[]> {
    const lister = new FileLister(this.source, { cachedOnly });
    const sentence = await this.#sentenceFiles(lister);
    const folder = this.task === undefined ? await this.#folder(lister) : sentence.folder;
    const [model, tokenizer] = await Promise.all([
      lister.model(folder, { isStatic: await sentence.isStatic }),
      this.options.include_tokenizer === false ? [] : this.#tokenizerFiles(lister, folder),
    ]);
    return [...model, ...tokenizer, ...sentence.files];
  }

  /** config.json and the weights. */
  async modelFiles(): Promise<ListedFile[]> {
    const lister = new FileLister(this.source);
    return lister.model(await this.#folder(lister));
  }

  async tokenizerFiles(): Promise<ListedFile[]> {
    const lister = new FileLister(this.source);
    return this.#tokenizerFiles(lister, await this.#folder(lister));
  }

  /** Empty where the task does not read such files. */
  sentenceFiles(): Promise<SentenceFiles> {
    return this.#sentenceFiles(new FileLister(this.source));
  }

  async downloadSize(): Promise<DownloadSize> {
    const files = (await this.files()).map(({ file, stat }) => ({
      file,
      size: stat?.size,
      cached: stat?.isAtHand ?? false,
    }));
    let total = 0;
    let download = 0;
    for (const { size = 0, cached } of files) {
      total += size;
      if (!cached) download += size;
    }
    return { total, cached: total - download, download, files };
  }

  /**
   * The folder of a model's files where no task is named: the top one; or where that has no config.json, the folder of the transformer
   * in modules.json ('0_Transformer').
   */
  async #folder(lister: FileLister): Promise<string> {
    const config = await lister.stat(CONFIG);
    if (config === undefined || config.exists) return '';
    let folder = '';
    await lister.read(async noting => {
      folder = await openSentence(noting).folder;
    });
    return folder;
  }

  async #sentenceFiles(lister: FileLister): Promise<SentenceFiles> {
    const sentence: SentenceFiles = { files: [], folder: '', modules: undefined, isStatic: undefined };
    const kind = this.task?.info.sentenceModel;
    if (!kind) return sentence;
    sentence.files = await lister.read(async noting => {
      const { folder, isStatic, settings, modules } = openSentence(noting, kind);
      if (kind === 'SentenceTransformer') sentence.isStatic = isStatic;
      sentence.folder = await folder;
      const [, loaded] = await Promise.allSettled([settings, modules]);
      if (loaded.status === 'rejected') throw loaded.reason;
      sentence.modules = loaded.value;
    });
    return sentence;
  }

  /** The files of a tokenizer, tokenizer.json first. Its class decides which they are, so they are read as in a load. */
  async #tokenizerFiles(lister: FileLister, folder: string): Promise<ListedFile[]> {
    const files = await lister.read(noting =>
      readTokenizerFiles({
        name: this.source.name,
        open: (file, options) => noting.open(inside(folder, file), options),
        json: (file, options) => noting.json(inside(folder, file), options),
      }),
    );
    const main = inside(folder, 'tokenizer.json');
    // config.json belongs to the model's files.
    const rest = files.filter(({ file }) => file !== main && file !== inside(folder, CONFIG));
    return [...files.filter(({ file }) => file === main), ...rest];
  }
}
