import type { Format } from '../../shaders/matrix.ts';
import {
  type Checkpoint,
  openCheckpoint,
  type TensorView,
  tensorFinder,
  usualNaming,
  type WantedTensor,
} from '../checkpoint/file/index.ts';
import type { ModelSource, ProgressCallback } from '../checkpoint/source/index.ts';
import {
  type ChainStep,
  canonicalRequest,
  checkMapping,
  type EncoderConfig,
  type EncoderRequest,
  encoderGraph,
  everything,
  type HeadKind,
  hasPooler,
  isOfHead,
  STATIC_MAPPING,
  withTask,
} from '../model/index.ts';
import type { Sizes } from '../plan/index.ts';
import { follow, until } from '../runtime/index.ts';
import type { Backend, OpenBackend } from './backend.ts';
import { DeviceModel } from './device-model.ts';
import { Fingerprint } from './fingerprint.ts';
import type { NewTensors } from './new-tensors.ts';
import { Preparing } from './prepare.ts';
import type { ModuleFile, SentenceModules } from './sentence-modules.ts';
import { encoderConfig, staticFinder } from './static-files.ts';
import { type CheckpointPart, fileTensors, matchParts, unusedTensors, upload } from './upload.ts';
import { openWebGPU } from './webgpu-backend.ts';

export interface LoadOptions {
  /** Opens what the model is computed on. Default: WebGPU. */
  backend?: OpenBackend | undefined;
  /** The caller's device, which is never destroyed here. Default: the backend opens one. */
  device?: GPUDevice | undefined;
  /** How matrices and the word table are kept. Default: 'f32'. */
  format?: Format | undefined;
  /** The head on the encoder, whose weights are loaded too. Default: none. */
  head?: HeadKind | undefined;
  /** Tensors to keep on the CPU too: all of them where the checkpoint has all, else none. */
  host?: ((config: EncoderConfig) => readonly WantedTensor[]) | undefined;
  /** The modules of a sentence-transformers checkpoint, which may have weight files. */
  sentence?: Promise<SentenceModules | undefined> | undefined;
  /** What makes the rows of tokens of a late-interaction model. */
  tokens?: TokenModules | undefined;
  /** Whether modules.json says that the model is static. Undefined: a static model is refused. */
  isStatic?: Promise<boolean> | undefined;
  /** Gives the folder of the encoder's files. Default: the folder of the model. */
  encoderIn?: ((root: ModelSource) => ModelSource) | undefined;
  /** The request of the first call: its kernels are compiled while the weights arrive. */
  request: (facts: { hasPooler: boolean }) => EncoderRequest;
  /** Further requests whose kernels are compiled then, too. */
  more?: readonly EncoderRequest[] | undefined;
  progress?: ProgressCallback | undefined;
  /** The task whose update is added to the weights, where the checkpoint has updates for tasks. Default: none. */
  defaultTask?: string | undefined;
  /** Makes tensors that the files lack. Default: a tensor that is missing is an error. */
  newTensors?: NewTensors | undefined;
  /** The configuration, where it has been read before. Default: config.json is read. */
  config?: EncoderConfig | undefined;
}

/** The steps from the last hidden state to the rows of the tokens, and where their weights are. */
export interface TokenModules {
  readonly steps: readonly ChainStep[];
  /** Those in files of their own. */
  readonly files: readonly ModuleFile[];
  /** A step whose tensors stand in the files of the encoder: its prefix (see ChainStep), and the file that says their shapes. */
  readonly inEncoder?: { readonly from: string; readonly config: string } | undefined;
}

/** The canonical names of a module's tensors begin with this: see ChainStep. */
const MODULE = 'sentence.';
/** The size of passes that the first executable has room for from the start: a first call of this size creates no buffers. */
const FIRST_ROOM: Sizes = { tokens: 256, sequences: 16, tiles: 64, pairs: 16, masked: 16, distances: 0 };

/** What a load has made so far. When the load's signal aborts, all of it is given back at once, the newest first. */
class MadeSoFar {
  readonly #signal: AbortSignal;
  readonly #undo: (() => void)[] = [];

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      for (const undo of this.#undo.reverse()) undo();
    });
  }

  /** Remembers how to give `made` back. After an abort gives it back and throws the signal's reason. */
  add<T>(made: T, giveBack: (made: T) => void): T {
    if (this.#signal.aborted) {
      giveBack(made);
      throw this.#signal.reason;
    }
    this.#undo.push(() => giveBack(made));
    return made;
  }
}

/**
 * Brings the weights of `source` onto a device while the kernels compile. Gives a whole model or rejects: at once with the
 * signal's reason, and with LostDeviceError when the device is lost. After a failure nothing is left on the device, no file is
 * open, and nothing listens to the signal.
 */
export async function loadModel(source: ModelSource, options: LoadOptions, signal?: AbortSignal): Promise<DeviceModel> {
  /** Aborts when the load fails, for whatever reason. Only here does the load listen to the caller's signal. */
  const stop = new AbortController();
  const made = new MadeSoFar(stop.signal);
  const unfollow = follow(signal, stop);
  let backend: Backend | undefined;
  try {
    stop.signal.throwIfAborted();
    const opening = openBackend(options, stop, made).then(opened => (backend = opened));
    const building = build(source, options, { opening, made, signal: stop.signal }).catch(async error => {
      throw backend ? await backend.explain(error) : error;
    });
    return await until(stop.signal, building);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    unfollow();
  }
}

/** Opens the backend. Until the model listens to it, a lost device or a refused operation lets the load fail. */
async function openBackend(options: LoadOptions, stop: AbortController, made: MadeSoFar): Promise<Backend> {
  const { backend: open = openWebGPU, device, format } = options;
  const backend = made.add(await open({ device, format }), backend => backend.destroy(stop.signal.reason));
  const fail = (error: unknown) => stop.abort(error);
  backend.listen({ lost: fail, refused: fail });
  return backend;
}

/** What one load works with. */
interface Load {
  readonly opening: Promise<Backend>;
  readonly made: MadeSoFar;
  /** Aborts when the load fails. After every wait the load looks at it before it makes anything. */
  readonly signal: AbortSignal;
}

async function build(root: ModelSource, options: LoadOptions, { opening, made, signal }: Load): Promise<DeviceModel> {
  const { head, progress } = options;
  const { name } = root;
  const source = options.encoderIn?.(root) ?? root;
  // The device, config.json and the header of the weights are asked for together. The body of the weights waits until it is
  // known that the model fits.
  const openFile = async (from: ModelSource, files?: readonly string[]): Promise<Checkpoint> =>
    made.add(await openCheckpoint(from, files ? { files } : {}), checkpoint => void checkpoint.cancel());
  const opened = openFile(source);
  const configuring = options.config ?? encoderConfig(source, opened, options.isStatic);
  // The caller hears of the first failure; the others must not be unhandled rejections.
  for (const promise of [opening, configuring, opened]) Promise.resolve(promise).catch(() => undefined);
  // A model that is not supported is refused before there is a device.
  const [backend, configured] = await Promise.all([opening, configuring]);
  const config = withTask(configured, options.defaultTask);
  signal.throwIfAborted();

  // Compiling takes longest, and needs no weights: everything but the pooler's kernels is known now.
  const planOf = (request: EncoderRequest) => backend.plan(encoderGraph(config, request));
  const firstRequest = (hasPooler: boolean) => canonicalRequest(options.request({ hasPooler }));
  for (const request of [firstRequest(false), ...(options.more ?? [])]) {
    backend.compile(planOf(request)).catch(() => undefined);
  }

  const inFiles = await opened;
  const findInFiles = config.static ? staticFinder(inFiles) : tensorFinder(inFiles, config);
  const withPooler = hasPooler(config, findInFiles) || options.newTensors?.makesPooler(config, head) === true;
  const request = firstRequest(withPooler);
  // The weights of every possible request, so that a later one finds them; but only the kernels of the first.
  const preparing = new Preparing(config, backend);
  const sentence = await options.sentence;
  const { tokens, newTensors } = options;
  const kept = planOf(everything(withPooler, head, sentence, tokens?.steps)).weights;
  const weights = preparing.weightsOfFiles(kept);
  const wanted = weights.flatMap(weight => weight.parts);
  const owns = (canonical: string) => !canonical.startsWith(MODULE);
  const advice = otherHead(config, findInFiles);
  const found = { checkpoint: inFiles, config, head, find: findInFiles, advice };
  const completed = newTensors?.complete(
    found,
    wanted.filter(({ tensor }) => owns(tensor)),
  );
  const { checkpoint, find } = completed ?? found;
  const encoder = {
    checkpoint,
    find,
    owns,
    advice: (canonical: string) => advice(canonical) ?? (head && isOfHead(canonical) ? newHead(head) : undefined),
    folder: 'encoder' as const,
  };
  const parts = [tokens?.inEncoder === undefined ? encoder : withModule(encoder, tokens.inEncoder)];
  for (const { from, file } of [...(sentence?.files ?? []), ...(tokens?.files ?? [])]) {
    const config = `${file.slice(0, file.lastIndexOf('/') + 1)}config.json`;
    parts.push(modulePart(await openFile(root, [file]), { from, file, config }));
  }
  signal.throwIfAborted();
  const matched = matchParts(parts, {
    weights: wanted,
    host: [...wholeOrNothing(options.host?.(config) ?? [], find), ...staticHost(config)],
  });
  await backend.weights.allocate(weights);
  signal.throwIfAborted();
  const compiling = backend.compile(planOf(request), ({ kernel, loaded, total }) => {
    signal.throwIfAborted();
    progress?.({ status: 'compile', name, file: kernel, progress: (100 * loaded) / total, loaded, total });
  });
  compiling.catch(() => undefined);
  preparing.compile();
  const fingerprint = new Fingerprint();
  const host = await upload(matched, backend.weights, { name, progress, fingerprint, signal });
  await preparing.run(kept, signal);
  const mapping = host.get(STATIC_MAPPING);
  if (config.static && mapping) checkMapping(mapping, config.static);
  await compiling;
  signal.throwIfAborted();
  const isTied = tiedTensors(config, find);
  const modelParts = {
    backend,
    config,
    hasPooler: withPooler,
    host,
    fingerprint: `${fingerprint}`,
    tensors: fileTensors(matched),
    unused: unusedTensors(matched).filter(({ info }) => !isTied(info.name)),
    leftOut: checkpoint.leftOut,
    newTensors: completed?.made ?? [],
    preparing,
  };
  const model = made.add(new DeviceModel(modelParts), model => model.destroy(signal.reason));
  const executable = await model.executable(request);
  await executable.reserve(FIRST_ROOM);
  await backend.settled();
  signal.throwIfAborted();
  return model;
}

/** Pairs of tensors that are one where the config ties the masked-LM head: the copy, and the one that Python keeps. */
const TIED = [
  ['cls.predictions.decoder.weight', 'embeddings.word_embeddings.weight'],
  ['cls.predictions.decoder.bias', 'cls.predictions.bias'],
] as const;

/** Whether a tensor of the file, by its name there, is another one once more. */
function tiedTensors({ tiedDecoder }: EncoderConfig, find: CheckpointPart['find']): (name: string) => boolean {
  const copies = TIED.map(([copy, kept]) => [find(copy)?.name, find(kept)?.name] as const);
  return name => tiedDecoder && copies.some(([copy, kept]) => copy === name && kept !== undefined && kept !== name);
}

/** What to do where the masked-LM head is missing and the file has the other head that such checkpoints may have. */
const otherHead =
  ({ masked: { other } }: EncoderConfig, find: CheckpointPart['find']) =>
  (canonical: string): string | undefined =>
    other && /^(cls|lm_predictions)\./.test(canonical) && find(other.tensor)
      ? `The file has another masked-LM head, ${other.tensor.replace(/\.dense\.weight$/, '.*')}: set ${other.setting} in config.json.`
      : undefined;

/** What to do where the files have no such head. */
const newHead = (head: HeadKind): string =>
  `The model was not trained for ${head}: take another one, or make a new head, which is to be trained, by num_labels or seed of AutoModelFor${head}.from_pretrained.`;

/** Where the weights of a module are. */
interface ModuleWeights {
  /** The prefix of their canonical names. */
  readonly from: string;
  /** Their file. Default: the encoder's. */
  readonly file?: string;
  /** The file that says their shapes. */
  readonly config: string;
}

/** The weights of a module, whose file names its tensors without the prefix `from`. */
function modulePart(
  checkpoint: Checkpoint,
  { from, file, config }: ModuleWeights,
): Required<Pick<CheckpointPart, 'naming'>> & CheckpointPart {
  const prefix = `${from}.`;
  const nameOf = (canonical: string) => canonical.slice(prefix.length);
  return {
    checkpoint,
    find: canonical => checkpoint.tensors.get(nameOf(canonical)),
    owns: canonical => canonical.startsWith(prefix),
    naming: canonical => ({ name: nameOf(canonical), config, file }),
    folder: 'root',
  };
}

/** A part that has the weights of a module, too. */
function withModule(encoder: CheckpointPart, weights: ModuleWeights): CheckpointPart {
  const { checkpoint, find, owns } = encoder;
  const module = modulePart(checkpoint, weights);
  return {
    ...encoder,
    find: canonical => (module.owns(canonical) ? module.find(canonical) : find(canonical)),
    owns: canonical => module.owns(canonical) || owns(canonical),
    naming: canonical => (module.owns(canonical) ? module.naming(canonical) : usualNaming(canonical)),
  };
}

/** The tensors of a static model that the CPU reads: with them it looks up the rows of tokens. */
const staticHost = ({ static: table, vocabSize }: EncoderConfig): readonly WantedTensor[] =>
  table?.hasMapping ? [{ tensor: STATIC_MAPPING, shape: [vocabSize] }] : [];

/** The tensors for the CPU where the checkpoint has all of them, else none. */
const wholeOrNothing = (
  tensors: readonly WantedTensor[],
  find: (canonical: string) => TensorView | undefined,
): readonly WantedTensor[] => (tensors.every(({ tensor }) => find(tensor)) ? tensors : []);
