import type { ModelSource } from '../checkpoint/source/index.ts';
import { CheckpointError, InputError, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, isText } from '../json.ts';
import { safetensorsFile } from '../saving/index.ts';
import type { LogisticHead } from './logistic.ts';
import { tensorsOfFile } from './tensor-file.ts';

/**
 * The files of a SetFitModel: those of the embedder, with the head as the last module, and config_setfit.json, which is setfit's own. That
 * file has no place for more than setfit's fields, because Python hands all of them to the constructor; so the module has a name.
 */

const MODULES = 'modules.json';
/** The file that says the labels. */
const CONFIG = 'config_setfit.json';
/** The name of the head among the modules: that of the attribute in Python's setfit. */
const HEAD = 'model_head';

/** A module of modules.json. */
interface Module {
  readonly idx: number;
  readonly name: string;
  readonly path: string;
  readonly type: string;
}

export const configFile = (labels: readonly string[] | undefined): File =>
  jsonFile(CONFIG, { labels: labels ?? null, normalize_embeddings: false });

const jsonFile = (name: string, value: unknown): File => new File([jsonText(value)], name);
const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Files of an embedder, and a head behind it. Throws InputError where they are none of sentence-transformers. */
export async function withHead(
  files: readonly File[],
  { weight, bias, classes, columns }: LogisticHead,
): Promise<File[]> {
  const modules = files.find(({ name }) => name === MODULES);
  if (!modules) {
    throw new InputError({
      what: 'the head of this model cannot be saved, because the embedder has no modules.json',
      next: 'Take an embedder of sentence-transformers.',
    });
  }
  const list: Module[] = JSON.parse(await modules.text());
  const path = `${list.length}_Dense`;
  // An embedder that was loaded with a head as a part of it keeps it, as a module like others.
  const body = list.map(module => (module.name === HEAD ? { ...module, name: String(module.idx) } : module));
  const head = { idx: list.length, name: HEAD, path, type: 'sentence_transformers.models.Dense' };
  const config = {
    in_features: columns,
    out_features: classes,
    bias: true,
    activation_function: 'torch.nn.modules.linear.Identity',
  };
  const tensor = (name: string, shape: number[], numbers: Float64Array) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: new Blob([Float32Array.from(numbers)]),
  });
  return [
    ...files.filter(file => file !== modules),
    jsonFile(MODULES, [...body, head]),
    jsonFile(`${path}/config.json`, config),
    safetensorsFile(
      weightsIn(path),
      [tensor('linear.bias', [classes], bias), tensor('linear.weight', [classes, columns], weight)],
      { format: 'pt' },
    ),
  ];
}

const weightsIn = (path: string): string => `${path}/model.safetensors`;

/** The modules of a body, and the folder of the head behind them; undefined where modules.json has no head. */
function splitModules(json: unknown): { readonly body: readonly unknown[]; readonly head: string } | undefined {
  if (!Array.isArray(json)) return undefined;
  const last: unknown = json.at(-1);
  if (!isRecord(last) || last.name !== HEAD || !isText(last.path)) return undefined;
  return { body: json.slice(0, -1), head: last.path.replace(/\/$/, '') };
}

/** Gives a load the files of a model without its head: modules.json does not name it. All others are as they are. */
export class BodyFiles {
  /** The folder of the head, once modules.json was read; undefined where there is none. */
  head: string | undefined;

  readonly of = (source: ModelSource): ModelSource => ({
    name: source.name,
    open: async (file, options) => {
      const split = file === MODULES ? this.#split(await source.json(file, { optional: true })) : undefined;
      if (!split) return source.open(file, options);
      const bytes = new TextEncoder().encode(jsonText(split.body));
      const pieces = (async function* () {
        yield bytes;
      })();
      return { size: bytes.length, bytes: pieces, cancel: async () => void (await pieces.return(undefined)) };
    },
    json: async (file, options) => {
      const json = await source.json(file, options);
      return (file === MODULES ? this.#split(json)?.body : undefined) ?? json;
    },
  });

  #split(json: unknown): ReturnType<typeof splitModules> {
    const split = splitModules(json);
    this.head = split?.head;
    return split;
  }
}

/** The labels of config_setfit.json; undefined where there are none. Throws SourceError, and UnsupportedError for what is not read here. */
export async function labelsOfFile(source: ModelSource): Promise<readonly string[] | undefined> {
  const fields = new Fields((await source.json(CONFIG, { optional: true })) ?? {}, '', CONFIG);
  if (fields.flag('normalize_embeddings', false)) {
    throw new UnsupportedError({
      what: 'a SetFit model that normalizes its embeddings is not read',
      actual: `"normalize_embeddings": true in ${CONFIG}`,
      supported: ['"normalize_embeddings": false'],
      next: 'Load its embedder with pipeline("feature-extraction", …), and make a new SetFitModel of it.',
    });
  }
  if (!fields.has('labels')) return undefined;
  const isFine = (value: unknown): value is string[] =>
    Array.isArray(value) && value.length > 1 && value.every(label => isText(label));
  return fields.get('labels', isFine, 'a list of two names of classes or more');
}

/** The head in a folder. Throws SourceError, CheckpointError, or the signal's reason. */
export async function readHead(
  source: ModelSource,
  path: string,
  signal: AbortSignal | null | undefined,
): Promise<LogisticHead> {
  const file = weightsIn(path);
  const tensors = await tensorsOfFile(source, file, signal);
  const [weight, bias] = [tensors.get('linear.weight'), tensors.get('linear.bias')];
  const [classes, columns] = weight?.shape ?? [];
  if (!weight || !bias || !classes || !columns || weight.shape.length !== 2 || `${bias.shape}` !== `${classes}`) {
    throw new CheckpointError({
      what: 'this is no head of a SetFit model',
      actual: [...tensors].map(([name, { shape }]) => `"${name}" [${shape.join(', ')}]`).join(', ') || 'no tensor',
      expected: '"linear.weight" [classes, columns] and "linear.bias" [classes]',
      file,
    });
  }
  return { weight: Float64Array.from(weight.data), bias: Float64Array.from(bias.data), classes, columns };
}
