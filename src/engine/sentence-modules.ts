import type { Pooling } from '../../shaders/pool.ts';
import { isSafePath, type ModelSource } from '../checkpoint/source/index.ts';
import { UnsupportedError } from '../errors.ts';
import { Fields } from '../json.ts';
import type { ChainStep, PoolRequest } from '../model/index.ts';
import { type Module, READERS } from './module-readers.ts';
import type { ModelKind } from './sentence-settings.ts';

/** How a checkpoint of sentence-transformers makes one vector of a text: its modules after the transformer. */
export interface SentenceModules extends PoolRequest {
  /** On the rows of tokens, before the pooling. */
  readonly tokenSteps: readonly ChainStep[];
  /** One or several; the rows of several are joined to one. */
  readonly pooling: readonly Pooling[];
  /** Whether the tokens of a prompt are pooled too. */
  readonly includePrompt: boolean;
  /** On the pooled row. */
  readonly rowSteps: readonly ChainStep[];
  /** Whether the last module scales the row to length 1. */
  readonly normalize: boolean;
  /** The weight files of the steps. */
  readonly files: readonly ModuleFile[];
}

/** The weights of a module. */
export interface ModuleFile {
  /** The prefix of the module's tensors in a graph: see ChainStep. */
  readonly from: string;
  readonly file: string;
}

/**
 * The entries of modules.json. Of several of one name the last stands in the place of the first, as in Python's OrderedDict. Throws
 * SourceError where it is malformed.
 */
export function modulesOf(json: unknown): readonly Module[] {
  const file = 'modules.json';
  if (!Array.isArray(json)) throw new Fields({}, '', file).malformed(json, 'a list of modules');
  const entries = json.map((module, i): readonly [unknown, Module] => {
    const fields = new Fields(module, `[${i}]`, file);
    const entry = moduleOf(fields.text('type'), fields.text('path'));
    if (fields.text('path').startsWith('/') || (entry.path !== '' && !isSafePath(entry.path))) {
      throw fields.malformed(fields.json.path, 'a folder of the model, such as "1_Pooling"', 'path');
    }
    return [fields.json.name ?? i, entry];
  });
  return [...new Map(entries).values()];
}

/** The folder of the encoder's files, and of its tokenizer's; '' for the top folder, also where the first module is no encoder. */
export const encoderFolder = ([first]: readonly Module[]): string =>
  first === undefined || Object.hasOwn(READERS, first.kind) ? '' : first.path;

/** A module of this class, with its files in this folder. */
export const moduleOf = (type: string, path: string): Module => ({
  type,
  // A class of the repository itself may have any name; it is reported whole.
  kind: type.replace(/^sentence_transformers\.(\w+\.)*/, ''),
  path: path.replace(/^\.(\/|$)/, '').replace(/\/$/, ''),
});

/**
 * Reads the modules after the transformer; a cross-encoder has none. Throws UnsupportedError for a module, an order of modules or
 * a value that is not supported, SourceError where a file is missing or malformed.
 */
export async function embedderModules(
  source: ModelSource,
  modules: readonly Module[],
  kind: ModelKind,
): Promise<SentenceModules | undefined> {
  const kinds = modules.map(module => module.kind);
  if (kind === 'CrossEncoder') {
    if (kinds.join() === 'Transformer') return undefined;
    throw unsupportedModules(kinds, 'Transformer', ['Transformer']);
  }
  const [first, ...rest] = modules;
  const isStatic = first?.kind === 'StaticEmbedding';
  if (!isStatic && first?.kind !== 'Transformer') throw unsupportedModules(kinds, ORDER);
  const { tokenSteps, sentence, files } = await moduleChain(
    source,
    rest,
    isStatic ? { pooled: MEAN } : { transformer: modules[0]?.path },
  );
  // A StaticEmbedding hands on no tokens.
  const readsTokens = tokenSteps.length > 0 || kinds.includes('Pooling');
  if (isStatic && readsTokens) throw unsupportedModules(kinds, ORDER);
  if (sentence === undefined) throw unsupportedModules(kinds, ORDER);
  const isScaled = sentence.rowSteps.at(-1)?.step === 'normalize';
  const chain = { ...sentence, rowSteps: isScaled ? sentence.rowSteps.slice(0, -1) : sentence.rowSteps };
  return { ...chain, normalize: isScaled, files: filesOf(chain, files) };
}

/** What is supported, in words. */
const ORDER =
  'a Transformer, then any of the other modules with a Pooling among them; or a StaticEmbedding, then modules that read no tokens';
/** What can be had of a checkpoint whose modules are not built. */
const ENCODER_ALONE =
  'For embeddings by its encoder alone take pipeline("feature-extraction", …) and name a pooling, such as "mean".';
/** What a StaticEmbedding does. */
const MEAN: SentenceChain = { tokenSteps: [], pooling: ['mean'], includePrompt: true, rowSteps: [] };

function unsupportedModules(
  kinds: readonly string[],
  expected: string,
  supported: readonly string[] = ['Transformer', 'StaticEmbedding', ...Object.keys(READERS)],
): UnsupportedError {
  const unknown = kinds.filter(kind => !supported.includes(kind));
  return new UnsupportedError({
    what:
      unknown.length > 0
        ? `modules.json lists a module that is not supported: ${unknown.join(', ')}`
        : 'the modules of modules.json stand in an order that is not supported',
    actual: kinds.join(', ') || 'none',
    expected,
    supported,
    next: ENCODER_ALONE,
  });
}

/** What a pooling makes of the tokens. */
export interface SentenceChain {
  readonly tokenSteps: readonly ChainStep[];
  readonly pooling: readonly Pooling[];
  readonly includePrompt: boolean;
  readonly rowSteps: readonly ChainStep[];
}

/** What modules make of the hidden states of an encoder: rows of tokens, and one row where there is a pooling. */
export interface ModuleChain {
  /** What the rows of the tokens have gone through after all modules. */
  readonly tokenSteps: readonly ChainStep[];
  readonly sentence: SentenceChain | undefined;
  /** The weight files of all steps, those that no result needs included. */
  readonly files: readonly ModuleFile[];
}

/**
 * Follows the two features that modules hand on, `token_embeddings` and `sentence_embedding`, through modules in any order, as
 * sentence-transformers' forward() does. A second pooling replaces the first; what a later pooling does not read has no effect.
 * Throws UnsupportedError, SourceError.
 * @param modules those after the encoder, whose number is 0
 * @param before of the encoder: its folder where it is a transformer, and the row that it hands on itself. Default: none
 */
export async function moduleChain(
  source: ModelSource,
  modules: readonly Module[],
  before: { readonly transformer?: string | undefined; readonly pooled?: SentenceChain },
): Promise<ModuleChain> {
  // All are known before a file is asked for: what is asked for is awaited.
  if (!modules.every(({ kind }) => Object.hasOwn(READERS, kind))) {
    throw unsupportedModules(['Transformer', ...modules.map(({ kind }) => kind)], ORDER);
  }
  const effects = await Promise.all(
    modules.map((module, i) => READERS[module.kind]!(source, module, `sentence.${i + 1}`, before.transformer)),
  );
  let tokenSteps: readonly ChainStep[] = [];
  let sentence = before.pooled;
  for (const [i, effect] of effects.entries()) {
    if (!effect) continue;
    if ('pooling' in effect) {
      sentence = { ...effect, tokenSteps, rowSteps: [] };
    } else if (effect.on === 'all_layer_embeddings') {
      // What the rows of the tokens have gone through before has no effect.
      tokenSteps = [effect.step];
    } else if (effect.on === 'token_embeddings') {
      tokenSteps = [...tokenSteps, effect.step];
    } else if (sentence) {
      sentence = { ...sentence, rowSteps: [...sentence.rowSteps, effect.step] };
    } else if (effect.step.step !== 'normalize') {
      // In Python a KeyError; a Normalize without its feature does nothing.
      throw new UnsupportedError({
        what: `a ${modules[i]!.kind} of modules.json reads sentence_embedding, and no Pooling stands before it`,
        actual: modules.map(({ kind }) => kind).join(', '),
        expected: ORDER,
        supported: Object.keys(READERS),
        next: ENCODER_ALONE,
      });
    }
  }
  const files = effects.flatMap(effect =>
    effect && 'step' in effect && 'from' in effect.step && effect.file !== undefined
      ? [{ from: effect.step.from, file: effect.file }]
      : [],
  );
  return { tokenSteps, sentence, files };
}

/** The files whose tensors the steps of a chain read. */
const filesOf = ({ tokenSteps, rowSteps }: SentenceChain, files: readonly ModuleFile[]): readonly ModuleFile[] =>
  files.filter(({ from }) => [...tokenSteps, ...rowSteps].some(step => 'from' in step && step.from === from));
