import type { Engine, FileTensor } from '../../engine/index.ts';
import { InputError, UnsupportedError } from '../../errors.ts';
import {
  type EncoderConfig,
  type EncoderRequest,
  encoderGraph,
  namesOfNew,
  preparationsOf,
} from '../../model/index.ts';
import { type Graph, type Weight, weightKey } from '../../plan/index.ts';
import { type LoraConfig, wholePattern } from './config.ts';

/** A linear of the model as Python names it: 'bert.encoder.layer.0.attention.self.query'. */
export interface LinearModule {
  readonly name: string;
  /** Its matrix in the file. */
  readonly tensor: FileTensor;
  /** The weights of the graph that have rows of it. */
  readonly weights: readonly Weight[];
}

/** A tensor of the model as Python names it. */
export interface Parameter {
  readonly name: string;
  readonly tensor: FileTensor;
}

/** What PEFT finds in a model: its linears, and its parameters. */
export interface ModuleNames {
  readonly linears: readonly LinearModule[];
  readonly parameters: readonly Parameter[];
  /** The linears whose output is that of the model: 'all-linear' leaves them out. */
  readonly outputs: ReadonlySet<LinearModule>;
  /** The weights of all linears, each once. */
  readonly weights: readonly Weight[];
}

/** PEFT's choice of target_modules, by family. */
const USUAL_TARGETS: Readonly<Record<string, readonly string[]>> = {
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
  'xlm-roberta': ['query', 'value'],
  electra: ['query', 'value'],
  'deberta-v2': ['query_proj', 'value_proj'],
  deberta: ['in_proj'],
  gemma3_text: ['q_proj', 'v_proj'],
};

/** The ends of the names of linears, each once. */
const endsOf = (linears: readonly LinearModule[]): string =>
  [...new Set(linears.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))].join(', ');

/** PEFT's target_modules of a family. Throws InputError where it has none. */
export function usualTargets({ modelType }: EncoderConfig, { linears }: ModuleNames): readonly string[] {
  const usual = Object.hasOwn(USUAL_TARGETS, modelType) ? USUAL_TARGETS[modelType] : undefined;
  if (usual) return usual;
  throw new InputError({
    what: `PEFT has no target_modules for the family "${modelType}"`,
    expected: `some of ${endsOf(linears)}`,
    next: "Pass target_modules to the LoraConfig; 'all-linear' are all.",
  });
}

/** The names of a model's modules and parameters. A file may have been saved from a model with another head, or with none. */
export function moduleNames(engine: Pick<Engine, 'config' | 'head' | 'tensors'>, request: EncoderRequest): ModuleNames {
  const { config, head } = engine;
  const nameOf = pythonNames(config, head !== undefined, engine.tensors);
  const parameters = engine.tensors.map(tensor => ({ name: nameOf(tensor), tensor }));
  const graphs = [encoderGraph(config, request), ...preparationsOf(config).map(({ graph }) => graph)];
  const { weights, tables } = linearWeights(graphs);
  const linears = parameters.flatMap(({ name, tensor }): LinearModule[] => {
    const canonical = [...tensor.views.keys()];
    // A decoder that is tied to the table of words has no matrix of its own.
    if (canonical.some(name => tables.has(name))) return [];
    const own = weights.filter(weight => weight.parts.some(part => canonical.includes(part.tensor)));
    return own.length > 0 && name.endsWith('.weight')
      ? [{ name: name.slice(0, -'.weight'.length), tensor, weights: own }]
      : [];
  });
  return { linears, parameters, weights, outputs: new Set(linears.filter(({ tensor }) => isOutput(tensor, head))) };
}

/** The weights of the linears of graphs, each once, and the tensors that are tables of embeddings. */
function linearWeights(graphs: readonly Graph[]): {
  readonly weights: readonly Weight[];
  readonly tables: ReadonlySet<string>;
} {
  const weights = new Map<string, Weight>();
  const tables = new Set<string>();
  for (const op of graphs.flatMap(({ ops }) => ops)) {
    if (op.op === 'linear') {
      const key = weightKey(op.weight);
      weights.set(key, weights.get(key) ?? op.weight);
    }
    if (op.op !== 'embed') continue;
    for (const table of [op.words, op.positions, op.types, op.tasks]) {
      for (const { tensor } of table?.parts ?? []) tables.add(tensor);
    }
  }
  return { weights: [...weights.values()], tables };
}

const isOutput = ({ views }: FileTensor, head: Engine['head']): boolean =>
  [...views.keys()].some(
    name =>
      /^cls\.predictions\.decoder\./.test(name) || (head === 'SequenceClassification' && name === 'classifier.weight'),
  );

/** What Python calls a tensor: in a model with a head the names of the encoder have a prefix, which files of other models may lack. */
function pythonNames(
  config: EncoderConfig,
  hasHead: boolean,
  tensors: readonly FileTensor[],
): (tensor: FileTensor) => string {
  const [prefix, other] = [hasHead, !hasHead].map(head => namesOfNew(config, head).encoder) as [string, string];
  const isEncoder = ({ views }: FileTensor) =>
    [...views.keys()].some(name => /^(embeddings|encoder|pooler|rotary)/.test(name));
  const inEncoder = tensors.filter(isEncoder);
  const allHave = (start: string) => inEncoder.every(({ info }) => info.name.startsWith(start));
  const isNamed = prefix !== '' ? allHave(prefix) : other === '' || !allHave(other);
  const dropped = !isNamed && other !== '' && allHave(other) ? other.length : 0;
  return tensor => {
    const { name } = tensor.info;
    return isNamed || !isEncoder(tensor) ? name : prefix + name.slice(dropped);
  };
}

/** Whether a name is one of a list's, or ends with one behind a dot; or is matched by a pattern. */
function isNamed(field: string, wanted: string | readonly string[], name: string): boolean {
  if (typeof wanted === 'string') return wholePattern(field, wanted).test(name);
  return wanted.some(end => name === end || name.endsWith(`.${end}`));
}

/** Whether a module is of those that are trained whole, or in one of them: then it gets no adapter. */
const isInSaved = (saved: readonly string[], name: string): boolean => {
  const parts = name.split('.');
  return saved.some(module => {
    const own = module.split('.');
    return parts.some((_, i) => own.every((part, k) => parts[i + k] === part));
  });
};

/** The number of the layer in a name: the first one, or the one behind `pattern`. */
function layerOf(name: string, patterns: readonly string[]): number | undefined {
  const parts = name.split('.');
  const at = parts.findIndex(
    (part, i) =>
      i >= (patterns.length > 0 ? 1 : 2) &&
      /^\d+$/.test(part) &&
      (patterns.length === 0 || patterns.includes(parts[i - 1]!)) &&
      i < parts.length - 1,
  );
  return at < 0 ? undefined : Number(parts[at]);
}

/** The linears that get adapters, as PEFT's check_target_module_exists chooses them. Throws InputError where these are none. */
export function targetsOf(config: LoraConfig, { linears, parameters, outputs }: ModuleNames): LinearModule[] {
  const { exclude_modules, layers_to_transform, layers_pattern, savedModules } = config;
  const target_modules = config.target_modules ?? [];
  const names = linears.map(({ name }) => name);
  const isAll = typeof target_modules === 'string' && target_modules.toLowerCase() === 'all-linear';
  const layers = layers_to_transform === null ? undefined : [layers_to_transform].flat();
  const patterns = layers_pattern === null ? [] : [layers_pattern].flat();
  const isTarget = (name: string) => isAll || isNamed('target_modules', target_modules, name);
  const isChosen = (name: string) => {
    if (exclude_modules !== null && isNamed('exclude_modules', exclude_modules, name)) return false;
    if (isInSaved(savedModules, name) || !isTarget(name)) return false;
    const layer = layers && layerOf(name, patterns);
    return !layers || (layer !== undefined && layers.includes(layer));
  };
  // To Python 'all-linear' are its Linears: a convolution, which the graph computes as one, is none of them.
  const isLeftOut = (module: LinearModule) => isAll && (outputs.has(module) || !isPlain(module));
  const targets = linears.filter(module => isChosen(module.name) && !isLeftOut(module));
  const other = isAll
    ? undefined
    : parameters.find(({ name }) => isEmbedding(name) && isTarget(name.replace(/\.weight$/, '')));
  if (other) throw notLinear(other.name);
  if (targets.length > 0) return targets;
  throw new InputError({
    what: 'no linear of this model is one of target_modules',
    actual: JSON.stringify(target_modules),
    expected: `names, or ends of names, such as ${names.slice(0, 3).join(', ')}; the ends are ${endsOf(linears)}`,
  });
}

/** Whether a linear is a matrix in the file, and no convolution or what else has another layout. */
export const isPlain = ({ weights }: LinearModule): boolean =>
  weights.every(({ parts }) => parts.every(({ layout, shape }) => !layout && shape.length === 2));

const isEmbedding = (name: string): boolean => /embeddings?\.weight$|embed_tokens\.weight$/.test(name);

export const notLinear = (name: string): UnsupportedError =>
  new UnsupportedError({
    what: 'adapters are there for linears alone',
    actual: name,
    supported: ['matrices of linears'],
    next: 'Leave it out of target_modules; modules_to_save trains it whole.',
  });

/** The parameters of modules that are trained whole: PEFT takes modules whose names end with one of `modules_to_save`. */
export const savedParameters = (saved: readonly string[], parameters: readonly Parameter[]): Parameter[] =>
  parameters.filter(({ name }) => saved.some(end => modulesAbove(name).some(module => module.endsWith(end))));

/** The names of the modules that a parameter is in, the nearest first. */
function modulesAbove(parameter: string): string[] {
  const parts = parameter.split('.');
  return parts.slice(1).map((_, i) => parts.slice(0, parts.length - 1 - i).join('.'));
}
