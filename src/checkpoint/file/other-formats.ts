import { SourceError } from '../../errors.ts';
import { isRecord, isText } from '../../json.ts';
import { inside, isHubId, type ModelSource } from '../source/index.ts';
import { originalOf } from './original.ts';

/** A format of weights that is not read. */
interface OtherFormat {
  /** The files that show it, the usual one first. */
  readonly files: readonly string[];
  /** What such a file is. */
  readonly is: string;
  /** What to do instead, as a sentence. */
  readonly next: (source: ModelSource, folder: string) => string | Promise<string>;
}

const SAVE = 'save_pretrained(…) writes model.safetensors';

/** Of several formats in one repository the first counts: the earlier ones lose nothing on their way to safetensors. */
const OTHER_FORMATS: readonly OtherFormat[] = [
  {
    files: ['pytorch_model.bin', 'pytorch_model.bin.index.json'],
    is: 'a pickle, which a page does not read because reading one means to run its code',
    next: fromPickle,
  },
  {
    files: ['adapter_model.safetensors', 'adapter_model.bin'],
    is: 'an adapter without the model that it adapts',
    next: fromAdapter,
  },
  {
    files: ['onnx/model.onnx', 'onnx/model_quantized.onnx', 'model.onnx'],
    is: 'a graph of ONNX, which is not read',
    next: fromOnnx,
  },
  {
    files: ['tf_model.h5'],
    is: 'a file of TensorFlow, which is not read',
    next: () => `In Python with transformers 4, AutoModel.from_pretrained(…, from_tf=True).${SAVE}.`,
  },
  {
    files: ['flax_model.msgpack'],
    is: 'a file of Flax, which is not read',
    next: () => `In Python with transformers 4, AutoModel.from_pretrained(…, from_flax=True).${SAVE}.`,
  },
];

/**
 * The error for a model that has neither model.safetensors nor its index. It says which other format the weights are in, and what to
 * take instead; only now is it asked for the files of other formats.
 * @param folder the folder of the weights; '' for the top one
 * @param exists whether a file is there. Default: the file is opened, and closed before its content is read.
 */
export async function noWeights(
  source: ModelSource,
  folder = '',
  exists: (file: string) => Promise<boolean> = file => opens(source, file),
): Promise<SourceError> {
  const [file, index] = ['model.safetensors', 'model.safetensors.index.json'].map(name => inside(folder, name));
  const other = await otherFormat(folder, exists);
  const complaint = { file: file!, status: 404, what: `${source.name} has no weights that can be read` };
  if (!other) {
    const next = `Other kinds of files are not read; in Python, AutoModel.from_pretrained(…).${SAVE}.`;
    return new SourceError({ ...complaint, actual: `neither ${file} nor ${index}`, next });
  }
  return new SourceError({
    ...complaint,
    actual: `${other.name}, ${other.format.is}`,
    expected: file!,
    next: await other.format.next(source, folder),
  });
}

/** The first format of which a file is there, and the name of that file. */
async function otherFormat(
  folder: string,
  exists: (file: string) => Promise<boolean>,
): Promise<{ format: OtherFormat; name: string } | undefined> {
  for (const format of OTHER_FORMATS) {
    const names = format.files.map(name => inside(folder, name));
    const there = await Promise.all(names.map(name => isThere(exists, name)));
    const name = names[there.indexOf(true)];
    if (name !== undefined) return { format, name };
  }
  return undefined;
}

async function opens(source: ModelSource, file: string): Promise<boolean> {
  const opened = await source.open(file, { optional: true });
  await opened?.cancel();
  return opened !== undefined;
}

/** A server that refuses the question does not hide the error that the question is for. */
const isThere = (exists: (file: string) => Promise<boolean>, file: string): Promise<boolean> =>
  exists(file).catch(error => {
    if (error instanceof SourceError) return false;
    throw error;
  });

/**
 * The bot of the hub opens pull requests with this title; transformers looks for them by it (safetensors_conversion.py). N is the
 * number of the pull request.
 */
function fromPickle({ name }: ModelSource): string {
  // Files of a list have a name without an owner.
  if (!isHubId(name) || !name.includes('/')) return `In Python, AutoModel.from_pretrained(…).${SAVE}.`;
  return (
    `See https://huggingface.co/${name}/discussions for a pull request "Adding \`safetensors\` variant of this model" of SFconvertbot: ` +
    "load its branch with { revision: 'refs/pr/N' }, N being its number. If there is none, " +
    'https://huggingface.co/spaces/safetensors/convert makes it.'
  );
}

async function fromAdapter(source: ModelSource, folder: string): Promise<string> {
  const json = await source.json(inside(folder, 'adapter_config.json'), { optional: true }).catch(() => undefined);
  return adapterAdvice(json);
}

/** What to do about an adapter. @param json adapter_config.json, not checked yet */
export function adapterAdvice(json: unknown): string {
  const base = isRecord(json) && isText(json.base_model_name_or_path) ? json.base_model_name_or_path : undefined;
  const load = base === undefined ? 'Load the model that it adapts' : `Load ${base}, which it adapts`;
  return `${load}; or in Python, merge both (PeftModel.merge_and_unload) and save the whole.`;
}

async function fromOnnx(source: ModelSource, folder: string): Promise<string> {
  const original = await originalOf(source, folder);
  return original === undefined
    ? 'Load the model that it was converted from: its model card names it as "base model".'
    : `Load the model that it was converted from: ${original.file} names ${original.id}.`;
}
