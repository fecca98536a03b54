import { env, readTokenizerFiles } from '../api/index.ts';
import {
  inside,
  type ManagedSource,
  type ModelLocation,
  type ModelSource,
  openSource,
} from '../checkpoint/source/index.ts';
import { openSentence, type SentenceModules, type TokenModules } from '../engine/index.ts';
import { checkSignals, UnsupportedError } from '../errors.ts';
import type { HeadKind } from '../model/index.ts';
import { type TaskInfo, taskOf } from '../tasks/index.ts';
import { askForVectorFiles, type VectorClass } from '../vectors/index.ts';
import { CONFIG, FileLister, type ListedFile } from './file-lister.ts';
import { classOf } from './model-class.ts';
import type { DownloadSize, RegistryOptions } from './types.ts';

interface ListOptions {
  /** No server is asked. Default: false. */
  cachedOnly?: boolean;
}

/** What a load reads beside the encoder and its tokenizer. */
interface Parts {
  /** Its files. */
  readonly files: readonly ListedFile[];
  /** The folder of the encoder's own files. */
  readonly folder: string;
  readonly head?: HeadKind | undefined;
  /** The modules of an embedder. */
  readonly modules?: SentenceModules | undefined;
  /** Reads what makes the rows of a late-interaction model. */
  readonly tokens?: ((source: ModelSource) => Promise<TokenModules>) | undefined;
  /** Whether modules.json says that the model is static. Undefined where such a model is not taken. */
  readonly isStatic?: Promise<boolean> | undefined;
}

/** A question about the files of one model, and of the task or the class that loads it. */
export class Inquiry {
  readonly source: ManagedSource;
  readonly options: RegistryOptions;
  /** Undefined for a model without a task. */
  readonly #task: ReturnType<typeof taskOf>['info'] | undefined;
  readonly #class: ReturnType<typeof classOf>;

  /** @throws InputError for a malformed location, UnsupportedError for a task or a class that is not built */
  constructor(model: ModelLocation, options: RegistryOptions | null | undefined, task?: string) {
    this.options = options ?? {};
    checkSignals(this.options as { signal?: unknown });
    this.#task = task === undefined ? undefined : taskOf(task).info;
    const { revision, subfolder, local_files_only, signal, model_class } = this.options;
    if (task !== undefined && (model_class ?? null) !== null) {
      throw new UnsupportedError({
        what: 'a pipeline has no option "model_class"',
        actual: `model_class "${model_class}" beside the task "${task}"`,
        supported: ['a task', 'model_class'],
        next: 'Without a task call the method whose name lacks "pipeline_": get_files, get_download_size, is_cached, …',
      });
    }
    this.#class = classOf(model_class ?? 'AutoModel');
    // Questions write nothing to the cache: the page has not decided for the model yet.
    this.source = openSource(model, { revision, subfolder, local_files_only, signal }, env, { keeps: false });
  }

  /** All files of a load, in its order: the model's, the tokenizer's, those of sentence-transformers. */
  async files({ cachedOnly = false }: ListOptions = {}): Promise<ListedFile[]> {
    const lister = new FileLister(this.source, { cachedOnly });
    const parts = await this.#parts(lister);
    const [model, tokenizer] = await Promise.all([
      lister.model(parts.folder, { isStatic: await parts.isStatic }),
      this.options.include_tokenizer === false ? [] : this.#tokenizerFiles(lister, parts.folder),
    ]);
    // A file that several parts read is one of the first of them.
    const listed = new Map<string, ListedFile>();
    for (const entry of [...model, ...tokenizer, ...parts.files]) {
      if (!listed.has(entry.file)) listed.set(entry.file, entry);
    }
    return [...listed.values()];
  }

  /** config.json and the weights. */
  async modelFiles(): Promise<ListedFile[]> {
    const lister = new FileLister(this.source);
    return lister.model((await this.#parts(lister)).folder);
  }

  async tokenizerFiles(): Promise<ListedFile[]> {
    const lister = new FileLister(this.source);
    return this.#tokenizerFiles(lister, (await this.#parts(lister)).folder);
  }

  /** What a load reads beside the encoder and its tokenizer. */
  parts(): Promise<Parts> {
    return this.#parts(new FileLister(this.source));
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

  async #parts(lister: FileLister): Promise<Parts> {
    const { vectors, head } = this.#class;
    if (vectors) return this.#vectorParts(lister, vectors);
    if (this.#task) return this.#taskParts(lister, this.#task);
    return { files: [], folder: await this.#folder(lister), head };
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

  async #taskParts(lister: FileLister, { sentenceModel: kind, head }: TaskInfo): Promise<Parts> {
    if (!kind) return { files: [], folder: '', head };
    let [folder, modules, isStaticModel]: [string, SentenceModules | undefined, boolean] = ['', undefined, false];
    const files = await lister.read(async noting => {
      const sentence = openSentence(noting, kind);
      [folder, isStaticModel] = await Promise.all([sentence.folder, sentence.isStatic]);
      const [, loaded] = await Promise.allSettled([sentence.settings, sentence.modules]);
      if (loaded.status === 'rejected') throw loaded.reason;
      modules = loaded.value;
    });
    const isStatic = kind === 'SentenceTransformer' ? Promise.resolve(isStaticModel) : undefined;
    return { files, folder, head, modules, isStatic };
  }

  /** Throws UnsupportedError for a repository that is none of the class, unless no server is asked. */
  async #vectorParts(lister: FileLister, name: VectorClass): Promise<Parts> {
    let found: Awaited<ReturnType<typeof askForVectorFiles>> | undefined;
    const files = await lister.read(
      async noting => {
        found = await askForVectorFiles(noting, name);
      },
      { isRequired: true },
    );
    return { files, folder: found?.folder ?? '', head: found?.head, tokens: found?.modules };
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
