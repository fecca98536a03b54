import {
  type CallableModel,
  env,
  loadTokenizer,
  type OutputName,
  originOf,
  PreTrainedModel,
  type PreTrainedTokenizer,
  type PretrainedOptions,
  type Reopen,
  readOptions,
  reopening,
  withSharedJson,
} from '../api/index.ts';
import { type ModelLocation, type ModelSource, openSource } from '../checkpoint/source/index.ts';
import { Engine, type LoadOptions, type TokenModules } from '../engine/index.ts';
import type { EncoderRequest, HeadKind } from '../model/index.ts';
import { linkedAbort, until } from '../runtime/index.ts';
import { noting } from '../saving/index.ts';
import { inFolderNamed, type Repository, readRepository } from './repository.ts';

/** What a class of vectors needs of a load, known from the small files of the repository. */
export interface LoadPlan {
  /** The folder of the encoder's files, and of the tokenizer's; '' for the top folder. */
  readonly folder: string;
  readonly head: HeadKind | undefined;
  readonly firstRequest: EncoderRequest;
  readonly tokens?: TokenModules | undefined;
  /** Reads the tokenizer. Default: `loadTokenizer`. */
  readonly readTokenizer?: (source: ModelSource, open: Reopen) => Promise<PreTrainedTokenizer>;
  /** What else is read while the weights arrive. */
  readonly more: Promise<unknown>;
}

/** What a load gives. */
export interface Loaded<Plan extends LoadPlan> {
  readonly plan: Plan;
  /** The folder of the encoder's files. */
  readonly folder: string;
  /** The paths of the small files, and of all that the plan has read. */
  readonly files: ReadonlySet<string>;
  readonly model: CallableModel<OutputName>;
  readonly tokenizer: PreTrainedTokenizer;
  readonly more: Awaited<Plan['more']>;
}

/**
 * Loads a model of one of the classes of vectors: the small files that say what it is first, then weights and tokenizer at once. Where
 * a part of the load fails the others are told to stop. Throws what `readPlan` throws, and SourceError, CheckpointError,
 * UnsupportedError, DeviceError, or the signal's reason.
 */
export async function loadVectors<Plan extends LoadPlan>(
  location: ModelLocation,
  options: PretrainedOptions,
  name: string,
  readPlan: (source: ModelSource, repository: Repository) => Promise<Plan>,
): Promise<Loaded<Plan>> {
  const engineOptions = readOptions(options);
  const stop = linkedAbort(options.signal);
  const { signal } = stop;
  const fail = (error: unknown) => stop.abort(error);
  let engine: Engine | undefined;
  try {
    const opened = openSource(location, { ...options, signal }, env);
    const source = withSharedJson(opened);
    const files = new Set<string>();
    const noted = noting(source, files);
    const plan = await until(
      signal,
      readRepository(noted).then(repository => readPlan(noted, repository)),
    );
    plan.more.catch(fail);
    const encoderIn = inFolderNamed(plan.folder);
    const reopen = reopening(opened, location, options);
    const loading = Engine.load(source, {
      ...engineOptions,
      head: plan.head,
      tokens: plan.tokens,
      encoderIn,
      reopen,
      signal,
      request: requestOf(plan.firstRequest),
    });
    const loadingTokenizer = (plan.readTokenizer ?? loadTokenizer)(encoderIn(source), reopenIn(reopen, encoderIn));
    loadingTokenizer.catch(fail);
    engine = await loading;
    const tokenizer = await until(signal, loadingTokenizer);
    const more = (await until(signal, plan.more)) as Awaited<Plan['more']>;
    engineOptions.progress?.({ status: 'ready', task: name, model: source.name });
    signal.throwIfAborted();
    const model = new PreTrainedModel(engine, originOf(opened, options)) as CallableModel<OutputName>;
    return { model, tokenizer, more, plan, folder: plan.folder, files };
  } catch (error) {
    fail(error);
    engine?.dispose();
    throw error;
  } finally {
    stop.release();
  }
}

/** The model and its tokenizer keep these functions. They are made here, because closures made in a load would keep its options. */
const reopenIn =
  (reopen: Reopen, encoderIn: (root: ModelSource) => ModelSource): Reopen =>
  signal =>
    encoderIn(reopen(signal));

const requestOf =
  (request: EncoderRequest): LoadOptions['request'] =>
  () =>
    request;
