import { fileRow, type TensorView } from '../../checkpoint/file/index.ts';
import type { Backend, Engine, TensorReader } from '../../engine/index.ts';
import { CheckpointError, InputError, UnsupportedError } from '../../errors.ts';
import { type Adaptation, adapterOf, renamed, type WeightMerge } from '../../gradients/index.ts';
import { type Weight, weightKey } from '../../plan/index.ts';
import { keepsHalves, mergedWeights, mergeWeights } from '../session.ts';
import { tensorReader, wholeTensor } from '../weights.ts';
import type { LoraConfig } from './config.ts';
import { isPlain, type LinearModule, type ModuleNames, notLinear, type Parameter, savedParameters } from './modules.ts';

/** A tensor of an adapter file. */
export interface AdapterTensor {
  /** Its name there: base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight. */
  readonly key: string;
  readonly shape: readonly number[];
  /** What the device calls it, or some rows of it each. */
  readonly views: ReadonlyMap<string, Pick<TensorView, 'shape' | 'rows'>>;
}

export interface FilledTensor {
  readonly tensor: AdapterTensor;
  /** In the order of the file. */
  readonly data: Float32Array<ArrayBuffer>;
}

export interface AdapterOptions {
  readonly config: LoraConfig;
  readonly names: ModuleNames;
  readonly targets: readonly LinearModule[];
  /** Whether a training changes them. */
  readonly isTrainable: boolean;
}

/** What PEFT writes before the names of a model's modules. */
const ROOT = 'base_model.model.';

/**
 * The adapters of a model on a device. The weight that pipelines and calls read is the merged one, base + factor B A: it is computed again
 * after each step (WeightMerge), so inference takes no longer than without adapters and needs no graph of its own. A step computes with the
 * frozen base, and with A and B apart, as PEFT does: then gradients of A and B alone are computed, at 2 r (K + N) multiply-adds a row in
 * place of the K N of the merged matrix, and without a buffer for its gradient; and dropout before the adapters is possible. The price is
 * a second copy of the matrices that have adapters, in the model's own dtype.
 */
export class Adapters {
  readonly config: LoraConfig;
  readonly names: ModuleNames;
  readonly isTrainable: boolean;
  /** The tensors of the adapters themselves. */
  readonly tensors: readonly AdapterTensor[];
  /** What is trained beside them: the parameters of modules_to_save, then biases. */
  readonly saved: readonly AdapterTensor[];
  readonly biases: readonly AdapterTensor[];
  readonly merges: readonly WeightMerge[];
  readonly #engine: Engine;
  readonly #adaptations: ReadonlyMap<string, Adaptation>;
  readonly #trained: ReadonlySet<string>;

  private constructor(engine: Engine, { config, names, targets, isTrainable }: AdapterOptions, keepsHalves: boolean) {
    this.#engine = engine;
    this.config = config;
    this.names = names;
    this.isTrainable = isTrainable;
    const saved = savedParameters(config.savedModules, names.parameters);
    const whole = new Set(saved.flatMap(canonicalNames));
    for (const module of targets) checkTarget(module);
    const targetNames = new Set(targets.map(({ name }) => name));
    const biases = biasesOf(config, names.parameters, targetNames).filter(parameter => !saved.includes(parameter));
    this.merges = names.weights.flatMap((weight): WeightMerge[] => {
      const modules = targets.filter(({ weights }) => weights.includes(weight));
      const isWhole = weight.parts.some(({ tensor }) => whole.has(tensor));
      if (modules.length > 0 && isWhole) throw sharedRows(weight);
      // What is trained is float32: of a matrix that the model keeps as halves a copy.
      if (modules.length === 0 && !(isWhole && keepsHalves)) return [];
      const adapters = modules.map(module =>
        adapterOf(weight, {
          rank: config.r,
          a: nameOfA(module),
          b: ({ tensor }) => (module.tensor.views.has(tensor) ? nameOfB(tensor) : undefined),
        }),
      );
      const base = renamed(weight, modules.length > 0 ? nameOfBase : nameOfCopy);
      return [{ target: weight, base, adapters, factor: config.scaling }];
    });
    this.#adaptations = new Map(
      this.merges.map(({ target, ...merge }) => [weightKey(target), { ...merge, dropout: config.lora_dropout }]),
    );
    const copies = new Set(
      this.merges.flatMap(({ target, adapters }) =>
        adapters.length > 0 ? [] : target.parts.map(({ tensor }) => tensor),
      ),
    );
    const onDevice = (canonical: string) => (copies.has(canonical) ? nameOfCopy(canonical) : canonical);
    const roundedTable = saved.find(parameter => keepsHalves && canonicalNames(parameter).some(isWordTable));
    if (roundedTable) throw tableOfHalves(roundedTable.name);
    this.tensors = targets.flatMap(module => adapterTensors(module, config.r));
    this.saved = saved.map(parameter => parameterTensor(parameter, parameter.name, onDevice));
    this.biases = biases.map(parameter => {
      const module = parameter.name.replace(/\.bias$/, '');
      return parameterTensor(
        parameter,
        targetNames.has(module) ? `${module}.base_layer.bias` : parameter.name,
        onDevice,
      );
    });
    this.#trained = new Set(namesOnDevice([...this.tensors, ...this.others]));
  }

  /** What is trained beside the adapters. */
  get others(): readonly AdapterTensor[] {
    return [...this.saved, ...this.biases];
  }

  /**
   * Puts adapters on a model, whose calls see them from then on. Rejects with UnsupportedError where a module cannot have one, with
   * DeviceError where there is no room, with CheckpointError where a number is not finite.
   * @param fill gives the numbers of the tensors of the adapters, and of what else is to be replaced
   */
  static async make(
    engine: Engine,
    options: AdapterOptions,
    fill: (adapters: Adapters) => Promise<readonly FilledTensor[]>,
  ): Promise<Adapters> {
    const backend = await engine.backend();
    const adapters = new Adapters(engine, options, keepsHalves(backend));
    const filled = await fill(adapters);
    // From here on the weights on the device are not those of the files.
    await engine.backendForTraining();
    try {
      await adapters.#open(backend, filled);
    } catch (error) {
      throw await backend.explain(error);
    }
    return adapters;
  }

  /** The adaptation of a weight of the model's graph. */
  readonly adapt = (weight: Weight): Adaptation | undefined => this.#adaptations.get(weightKey(weight));

  /** Whether a tensor is trained, by its name on the device. */
  readonly trains = (tensor: string): boolean => this.isTrainable && this.#trained.has(tensor);

  /** The names that an adapter file has for what is trained, without what all of them begin with, by the names on the device. */
  get fileNames(): Map<string, string[]> {
    return new Map(
      [...this.tensors, ...this.others].flatMap(({ key, views }) =>
        [...views.keys()].map(name => [name, [key.slice(ROOT.length)]] as const),
      ),
    );
  }

  /** The numbers of all tensors of an adapter file as they are now. Rejects with DeviceError, or the signal's reason. */
  async *read(signal: AbortSignal | undefined): AsyncGenerator<FilledTensor> {
    const reader = tensorReader(await this.#engine.backend(), signal);
    for (const tensor of [...this.tensors, ...this.others]) yield { tensor, data: await joinedRows(reader, tensor) };
  }

  /** Gives back everything but the merged weights, which are the model's from now on. */
  async close(): Promise<void> {
    const backend = await this.#engine.backend();
    backend.weights.release(mergedWeights(backend, this.merges));
  }

  async #open(backend: Backend, filled: readonly FilledTensor[]): Promise<void> {
    const { weights } = backend;
    const reader = tensorReader(backend);
    await weights.allocate(mergedWeights(backend, this.merges));
    const copies = new Map(
      this.merges.flatMap(({ target, base }) => target.parts.map(({ tensor }, i) => [tensor, base.parts[i]!.tensor])),
    );
    for (const [from, to] of copies) {
      let begin = 0;
      for await (const piece of reader.read(from)) {
        await weights.write({ tensor: to, stored: 'F32', begin, bytes: bytesOf(piece) });
        begin += piece.byteLength;
      }
    }
    const own = new Set(this.tensors);
    weights.expect(namesOnDevice(filled.flatMap(({ tensor }) => (own.has(tensor) ? [] : tensor))));
    await this.#write(backend, filled);
  }

  /** Sets the numbers of all tensors of an adapter file anew. Rejects as `make` does. */
  async load(filled: readonly FilledTensor[]): Promise<void> {
    const backend = await this.#engine.backendForTraining();
    backend.weights.expect(namesOnDevice(filled.map(({ tensor }) => tensor)));
    await this.#write(backend, filled);
  }

  /** Writes tensors that are expected, and merges. */
  async #write(backend: Backend, filled: readonly FilledTensor[]): Promise<void> {
    const { weights } = backend;
    for (const { tensor, data } of filled) {
      for (const [name, view] of tensor.views) {
        const bytes = bytesOf(rowsOf(data, tensor.shape, view));
        await weights.write({ tensor: name, stored: 'F32', begin: 0, bytes });
      }
    }
    const [flaw] = await weights.finish();
    if (flaw) throw damaged(flaw);
    await mergeWeights(backend, this.merges);
    this.#engine.markTrained();
  }
}

const nameOfA = ({ name }: LinearModule): string => `${name}.lora_A.weight`;
const ofMatrix = (canonical: string, name: string): string => canonical.replace(/weight$/, name);
const nameOfB = (canonical: string): string => ofMatrix(canonical, 'lora_B.weight');
const nameOfBase = (canonical: string): string => ofMatrix(canonical, 'base_layer.weight');
const nameOfCopy = (canonical: string): string => ofMatrix(canonical, 'modules_to_save.weight');

const canonicalNames = ({ tensor }: Parameter): string[] => [...tensor.views.keys()];
const namesOnDevice = (tensors: readonly AdapterTensor[]): string[] =>
  tensors.flatMap(({ views }) => [...views.keys()]);
const isWordTable = (canonical: string): boolean => canonical === 'embeddings.word_embeddings.weight';

function adapterTensors(module: LinearModule, rank: number): AdapterTensor[] {
  const { name, tensor } = module;
  const [rows, columns] = tensor.info.shape as [number, number];
  const b = [...tensor.views].map(
    ([canonical, view]) => [nameOfB(canonical), { shape: [view.shape[0]!, rank], rows: view.rows }] as const,
  );
  return [
    {
      key: `${ROOT}${name}.lora_A.weight`,
      shape: [rank, columns],
      views: new Map([[nameOfA(module), { shape: [rank, columns] }]]),
    },
    { key: `${ROOT}${name}.lora_B.weight`, shape: [rows, rank], views: new Map(b) },
  ];
}

const parameterTensor = (
  { tensor }: Parameter,
  name: string,
  onDevice: (canonical: string) => string,
): AdapterTensor => ({
  key: ROOT + name,
  shape: tensor.info.shape,
  views: new Map([...tensor.views].map(([canonical, view]) => [onDevice(canonical), view])),
});

function biasesOf({ bias }: LoraConfig, parameters: readonly Parameter[], targets: ReadonlySet<string>): Parameter[] {
  if (bias === 'none') return [];
  return parameters.filter(({ name }) =>
    bias === 'all' ? /(^|\.)bias$/.test(name) : name.endsWith('.bias') && targets.has(name.slice(0, -'.bias'.length)),
  );
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer, byteOffset, byteLength);

const columnsOf = (shape: readonly number[]): number => shape.slice(1).reduce((a, b) => a * b, 1);

/** The rows of a view of a tensor. */
function rowsOf(
  data: Float32Array<ArrayBuffer>,
  shape: readonly number[],
  view: Pick<TensorView, 'shape' | 'rows'>,
): Float32Array<ArrayBuffer> {
  if (!view.rows) return data;
  const columns = columnsOf(shape);
  const rows = new Float32Array(view.shape[0]! * columns);
  for (let i = 0; i < view.shape[0]!; i++) {
    const from = fileRow(view, i) * columns;
    rows.set(data.subarray(from, from + columns), i * columns);
  }
  return rows;
}

/** A tensor of the views that have its rows. */
async function joinedRows(reader: TensorReader, { shape, views }: AdapterTensor): Promise<Float32Array<ArrayBuffer>> {
  const columns = columnsOf(shape);
  const data = new Float32Array(shape[0]! * columns);
  for (const [name, view] of views) {
    const rows = await wholeTensor(reader, name);
    if (!view.rows) return rows;
    for (let i = 0; i < view.shape[0]!; i++) {
      data.set(rows.subarray(i * columns, (i + 1) * columns), fileRow(view, i) * columns);
    }
  }
  return data;
}

/** Throws where a linear is none that an adapter can be added to. */
function checkTarget(module: LinearModule): void {
  const { name, tensor } = module;
  if (!isPlain(module)) throw notLinear(name);
  if (![...tensor.views.values()].some(({ update }) => update)) return;
  throw new UnsupportedError({
    what: 'adapters on the merged weights of a task',
    actual: name,
    supported: ['models loaded without default_task'],
    next: 'Load the model without default_task.',
  });
}

const sharedRows = ({ name }: Weight): UnsupportedError =>
  new UnsupportedError({
    what: 'adapters and modules_to_save in one matrix',
    actual: name,
    supported: ['modules_to_save whose matrices stand alone, such as classifiers'],
    next: 'Take it into modules_to_save or into target_modules, with those that stand beside it.',
  });

const tableOfHalves = (name: string): InputError =>
  new InputError({
    what: 'a table of embeddings that is kept as fp16 cannot be trained',
    actual: `modules_to_save has "${name}"`,
    expected: 'a model loaded with dtype "fp32"',
    next: "Load it with { dtype: 'fp32' }, or leave the table out.",
  });

const damaged = ({
  tensor,
  kind,
  index,
}: {
  tensor: string;
  kind: string;
  index: readonly number[];
}): CheckpointError =>
  new CheckpointError({
    what: `the adapter's tensor "${tensor}" is damaged`,
    actual: `${kind} at [${index.join(', ')}]`,
    expected: 'finite numbers',
    next: 'Get the file again, or save it again from weights that are finite.',
    tensor,
  });
