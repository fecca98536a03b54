import { SourceError } from '../../errors.ts';
import { isRecord, isText } from '../../json.ts';
import { inside, isHubId, type ModelSource } from '../source/index.ts';

/** A model on the hub, and the file that names it. */
interface Original {
  readonly id: string;
  readonly file: string;
}

/** The facts about a model stand at the top of its README.md, between lines of three dashes; much more than this is never read. */
const MAX_README_BYTES = 1 << 16;

/** Relations of a model to its base model that make it another model (model cards of the hub). */
const OTHER_MODEL = ['finetune', 'adapter', 'merge'];

/**
 * The model that a repository has a copy of in another format: as README.md names it, or else config.json in `_name_or_path`. Undefined
 * where neither does.
 */
export async function originalOf(source: ModelSource, folder: string): Promise<Original | undefined> {
  const readme = await source
    .open('README.md', { optional: true })
    .then(file => file && textOf(file.bytes))
    .catch(unlessAborted);
  const isOther = (id: string | undefined): id is string => id !== undefined && id !== source.name && isHubId(id);
  const ofReadme = readme === undefined ? undefined : [baseModel(readme), linkedModel(readme)].find(isOther);
  if (ofReadme !== undefined) return { id: ofReadme, file: 'README.md' };
  const file = inside(folder, 'config.json');
  const json = await source.json(file, { optional: true }).catch(unlessAborted);
  const path = isRecord(json) && isText(json._name_or_path) ? json._name_or_path : undefined;
  // A name without an owner may be that of a folder.
  return isOther(path) && path.includes('/') ? { id: path, file } : undefined;
}

/** What cannot be had says nothing. */
function unlessAborted(error: unknown): undefined {
  if (!(error instanceof SourceError)) throw error;
}

async function textOf(bytes: AsyncGenerator<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of bytes) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > MAX_README_BYTES) break;
  }
  return text;
}

/** `base_model` of the facts: a name, or a list whose first entry counts. */
function baseModel(readme: string): string | undefined {
  const [first, ...rest] = readme.split('\n', 400).map(line => line.trimEnd());
  const end = rest.indexOf('---');
  if (first !== '---' || end < 0) return undefined;
  const facts = rest.slice(0, end);
  const value = (key: string) => {
    const at = facts.findIndex(line => line.startsWith(`${key}:`));
    if (at < 0) return undefined;
    const inline = facts[at]!.slice(key.length + 1).trim();
    return unquoted(inline === '' ? (facts[at + 1] ?? '').trim().replace(/^- /, '') : inline);
  };
  return OTHER_MODEL.includes(value('base_model_relation') ?? '') ? undefined : value('base_model');
}

const unquoted = (text: string): string => text.trim().replace(/^["']/, '').replace(/["']$/, '');

/** Copies for transformers.js say "https://huggingface.co/org/name with ONNX weights to be compatible with Transformers.js". */
const linkedModel = (readme: string): string | undefined =>
  /https:\/\/huggingface\.co\/([\w./-]{1,200}) with ONNX weights/.exec(readme)?.[1];
