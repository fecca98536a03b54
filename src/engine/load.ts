import type { Format } from '../../shaders/matrix.ts';
import { matchTensors, openCheckpoint, tensorFinder, type WantedTensor } from '../checkpoint/file/index.ts';
import type { ModelSource, ProgressCallback } from '../checkpoint/source/index.ts';
import {
  createWeightStore,
  explained,
  type Gpu,
  loadKernel,
  onLoss,
  openGpu,
  PipelineCache,
  unexpected,
} from '../gpu/index.ts';
import {
  canonicalRequest,
  type EncoderConfig,
  type EncoderRequest,
  everything,
  type HeadKind,
  POOLER_TENSOR,
  readConfig,
} from '../model/index.ts';
import { kernelsOf, type Sizes } from '../plan/index.ts';
import { follow, until } from '../runtime/index.ts';
import { DeviceModel, planOf } from './device-model.ts';
import type { SentenceModules } from './sentence-modules.ts';
import { type CheckpointPart, matchParts, upload } from './upload.ts';

export interface LoadOptions {
  device?: GPUDevice | undefined;
  /** How the weights are kept. Default: 'f32'. */
  format?: Format | undefined;
  /** What stands on the encoder: its weights are loaded too. */
  head?: HeadKind | undefined;
  /** Tensors to be kept on the CPU too, where the checkpoint has all of them. */
  host?: ((config: EncoderConfig) => readonly WantedTensor[]) | undefined;
  /** The modules of a sentence-transformers checkpoint, whose dense layers have files of their own. */
  sentence?: Promise<SentenceModules | undefined> | undefined;
  /** Where in the files of a model the encoder's are. Default: beside all others. */
  encoderIn?: ((root: ModelSource) => ModelSource) | undefined;
  /** What will be asked for first: its kernels are compiled while the weights arrive. Others are compiled when they are asked for. */
  request: (facts: { hasPooler: boolean }) => EncoderRequest;
  /** Others whose kernels are compiled then, too. */
  more?: readonly EncoderRequest[] | undefined;
  progress?: ProgressCallback | undefined;
  /** Read before. Default: config.json is read. */
  config?: EncoderConfig | undefined;
}

/** Where the weights of dense layers after the pooling are, by canonical names. */
const DENSE = 'sentence.dense.';
/** The first call makes no buffers, unless it is longer than this. */
const FIRST_ROOM: Sizes = { tokens: 256, sequences: 16, tiles: 64, pairs: 16, masked: 16 };

/** What one load has under way. */
interface Attempt {
  readonly source: ModelSource;
  readonly options: LoadOptions;
  /** Aborts when the load fails, for whatever reason: nothing may be made any more. */
  readonly signal: AbortSignal;
  /** Lets the load fail. */
  readonly fail: (error: unknown) => void;
  /** What the device has refused outside of error scopes: each settles when it is known why. */
  readonly refusals: Promise<void>[];
  /** Notes how something that was made is given back if the load fails; gives it back and throws where it has failed. */
  readonly held: <T>(made: T, giveBack: (made: T) => void) => T;
  /** Notes what ends with the load, well or not. */
  readonly finally: (end: () => void) => void;
}

/**
 * Brings the weights of `source` onto a device, while the kernels compile. Rejects at once with the signal's reason, and with
 * LostDeviceError when the device is lost. Whatever it fails of, nothing is left on the device, and nothing listens.
 */
export async function loadModel(source: ModelSource, options: LoadOptions, signal?: AbortSignal): Promise<DeviceModel> {
  const stop = new AbortController();
  const made: (() => void)[] = [];
  // At once, not when the failure has made its way through all that waits.
  stop.signal.addEventListener('abort', () => {
    for (const giveBack of made.reverse()) giveBack();
  });
  const ends = [follow(signal, stop)];
  const held: Attempt['held'] = (each, giveBack) => {
    if (!stop.signal.aborted) {
      made.push(() => giveBack(each));
      return each;
    }
    giveBack(each);
    throw stop.signal.reason;
  };
  try {
    const loading = load({
      source,
      options,
      signal: stop.signal,
      fail: error => stop.abort(error),
      refusals: [],
      held,
      finally: end => ends.push(end),
    });
    return await until(stop.signal, loading);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    for (const end of ends) end();
  }
}

async function load(attempt: Attempt): Promise<DeviceModel> {
  let device: GPUDevice | undefined;
  try {
    attempt.signal.throwIfAborted();
    const opening = openGpu(attempt.options.device).then(gpu => {
      attempt.held(gpu, ({ device, owned }) => owned && device.destroy());
      watch(attempt, gpu);
      device = gpu.device;
      return gpu;
    });
    return await fill(attempt, opening);
  } catch (error) {
    throw device ? await explained(device, error, attempt.signal) : error;
  }
}

/** Lets the load fail as soon as its device does. */
function watch({ signal, fail, refusals, finally: atEnd }: Attempt, { device, owned }: Gpu): void {
  atEnd(onLoss(device, fail));
  if (!owned) return;
  const onError = (event: Event): void => {
    const refused = unexpected('the GPU refused an operation', (event as GPUUncapturedErrorEvent).error.message);
    // In Firefox a lost device refuses whatever it is told before it is said to be lost.
    refusals.push(explained(device, refused, signal).then(fail));
  };
  device.addEventListener('uncapturederror', onError);
  atEnd(() => device.removeEventListener('uncapturederror', onError));
}

async function fill(
  { source: root, options, signal, held, refusals }: Attempt,
  opening: Promise<Gpu>,
): Promise<DeviceModel> {
  const { format, head, progress } = options;
  const { name } = root;
  const source = options.encoderIn?.(root) ?? root;
  // All that is asked for first is asked for at once; of the weights no more than the header is read, until the rest fits.
  const configuring = options.config
    ? Promise.resolve(options.config)
    : source.json('config.json').then(json => readConfig(json));
  const checking = openCheckpoint(source, { signal }).then(opened => held(opened, each => void each.cancel()));
  // Whichever fails first is what the caller hears of; the others must not go unhandled.
  for (const each of [opening, configuring, checking]) each.catch(() => undefined);
  const gpu = await opening;
  const config = await configuring;
  signal.throwIfAborted();
  // To compile takes longest: all but what a pooler adds is known without the weights.
  const first = (hasPooler: boolean) => canonicalRequest(options.request({ hasPooler }));
  const pipelines = PipelineCache.of(gpu.device);
  // The smallest first: no weight is done without it.
  pipelines.get(loadKernel()).catch(() => undefined);
  for (const foreseen of [first(false), ...(options.more ?? [])]) {
    for (const kernel of kernelsOf(planOf(gpu.caps, config, foreseen, format).steps)) {
      pipelines.get(kernel).catch(() => undefined);
    }
  }
  const checkpoint = await checking;
  const find = tensorFinder(checkpoint, config);
  const parts: CheckpointPart[] = [{ checkpoint, find, owns: canonical => !canonical.startsWith(DENSE) }];
  const sentence = await options.sentence;
  for (const [i, file] of (sentence?.files ?? []).entries()) {
    const prefix = `${DENSE}${i}.`;
    const dense = held(await openCheckpoint(root, { signal, files: [file] }), each => void each.cancel());
    parts.push({
      checkpoint: dense,
      find: canonical => dense.tensors.get(canonical.replace(prefix, 'linear.')),
      owns: canonical => canonical.startsWith(prefix),
    });
  }
  signal.throwIfAborted();
  const asked = options.host?.(config) ?? [];
  const host = asked.every(({ tensor }) => find(tensor)) ? asked : [];
  // The CPU reads the same types as the GPU.
  matchTensors(host, find);
  const hasPooler = find(POOLER_TENSOR) !== undefined;
  const request = first(hasPooler);
  // All weights, so that a later request finds them; only the kernels of the first.
  const all = planOf(gpu.caps, config, everything(hasPooler, head, sentence), format).weights;
  const matched = matchParts(
    parts,
    all.flatMap(weight => weight.parts),
  );
  const weights = held(createWeightStore(gpu.device, pipelines), each => each.destroy());
  await weights.allocate(all);
  signal.throwIfAborted();
  const kernels = kernelsOf(planOf(gpu.caps, config, request, format).steps);
  const { length: total } = kernels;
  let loaded = 0;
  const compiling = Promise.all(
    kernels.map(async kernel => {
      await pipelines.get(kernel);
      signal.throwIfAborted();
      loaded++;
      progress?.({ status: 'compile', name, file: kernel.name, progress: (100 * loaded) / total, loaded, total });
    }),
  );
  compiling.catch(() => undefined);
  const check = () => signal.throwIfAborted();
  const floats = await upload(matched, weights, { name, host: host.map(({ tensor }) => tensor), progress, check });
  await compiling;
  signal.throwIfAborted();
  const model = held(new DeviceModel({ gpu, pipelines, weights, config, format, hasPooler, host: floats }), each =>
    each.destroy(),
  );
  const executable = await model.executable(request);
  await executable.reserve(FIRST_ROOM);
  await Promise.all(refusals);
  signal.throwIfAborted();
  return model;
}
