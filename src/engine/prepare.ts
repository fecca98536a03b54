import { CheckpointError } from '../errors.ts';
import { type EncoderConfig, type Preparation, preparationsOf, preparedNumbers } from '../model/index.ts';
import { firstNotFinite, type Plan, packBatch, splitOutputs, type Weight, weightKey } from '../plan/index.ts';
import type { Backend, Executable } from './backend.ts';

/** A preparation as the backend computes it. */
interface PlannedPreparation extends Preparation {
  readonly plan: Plan;
}

/**
 * What a load computes of weights alone (see Preparation): when the files are on the device, and again on every other device. The results
 * are weights like those of files from then on, so they are counted, and given back, with these. What they are made of stays on the device:
 * a training changes it, and then they are computed again before the next pass that reads them.
 */
export class Preparing {
  readonly #backend: Backend;
  readonly #preparations: readonly PlannedPreparation[];
  /** The names of the tensors that no file has. */
  readonly #prepared: ReadonlySet<string>;
  #isOutdated = false;
  #computing: Promise<void> | undefined;

  constructor(config: EncoderConfig, backend: Backend) {
    this.#backend = backend;
    this.#preparations = preparationsOf(config).map(made => ({ ...made, plan: backend.plan(made.graph) }));
    this.#prepared = new Set(this.#preparations.flatMap(({ tensors }) => tensors.map(({ tensor }) => tensor)));
  }

  /** The weights that are made of tensors of files: those of the model, and those that only preparations read. */
  weightsOfFiles(weights: readonly Weight[]): Weight[] {
    const all = [...weights, ...this.#preparations.flatMap(({ plan }) => plan.weights)];
    const distinct = new Map(all.map(weight => [weightKey(weight), weight]));
    return [...distinct.values()].filter(weight => !this.#isPrepared(weight));
  }

  /** Begins to compile what `run` needs, which reports a failure. */
  compile(): void {
    for (const { plan } of this.#preparations) this.#backend.compile(plan).catch(() => undefined);
  }

  /**
   * Computes the weights among those of the model that are made of prepared tensors. Throws CheckpointError where a number is not finite;
   * DeviceError.
   * @param kept All weights of the model.
   */
  async run(kept: readonly Weight[], signal: AbortSignal): Promise<void> {
    if (this.#preparations.length === 0) return;
    const { weights } = this.#backend;
    await weights.allocate(kept.filter(weight => this.#isPrepared(weight)));
    for (const preparation of this.#preparations) {
      signal.throwIfAborted();
      await this.#compute(preparation, checkFinite);
    }
    await weights.finish();
    signal.throwIfAborted();
  }

  /** Says that weights have changed. */
  outdate(): void {
    this.#isOutdated = this.#preparations.length > 0;
  }

  /** The same executable, whose passes read what is computed of the weights as they are when a pass begins. */
  upToDate(executable: Executable): Executable {
    if (this.#preparations.length === 0) return executable;
    return {
      plan: executable.plan,
      passRoom: () => executable.passRoom(),
      reserve: sizes => executable.reserve(sizes),
      run: batch => {
        if (!this.#isOutdated && !this.#computing) return executable.run(batch);
        const running = this.#refreshed().then(() => executable.run(batch));
        return {
          submitted: running.then(({ submitted }) => submitted),
          outputs: running.then(({ outputs }) => outputs),
        };
      },
      bytes: () => executable.bytes(),
      destroy: () => executable.destroy(),
    };
  }

  /** Computes again what is outdated, one time after the other. Numbers that are not finite are those of passes, too, which say so. */
  #refreshed(): Promise<void> {
    const { weights } = this.#backend;
    const refresh = async () => {
      while (this.#isOutdated) {
        this.#isOutdated = false;
        try {
          weights.expect([...this.#prepared]);
          for (const preparation of this.#preparations) await this.#compute(preparation);
          await weights.finish();
        } catch (error) {
          this.#isOutdated = true;
          throw error;
        }
      }
    };
    this.#computing ??= refresh().finally(() => {
      this.#computing = undefined;
    });
    return this.#computing;
  }

  async #compute(
    { plan, ids, tensors }: PlannedPreparation,
    check?: (tensor: string, numbers: Float32Array) => void,
  ): Promise<void> {
    const { weights } = this.#backend;
    const sequence = { ids, positions: ids, types: new Uint8Array(ids.length) };
    const executable = await this.#backend.executable(plan);
    try {
      const pass = executable.run(packBatch([sequence], plan.queryTile));
      pass.submitted.catch(() => undefined);
      const [outputs] = splitOutputs(plan, [sequence], await pass.outputs);
      for (const prepared of tensors) {
        const numbers = preparedNumbers(prepared, outputs!);
        check?.(prepared.tensor, numbers);
        const bytes = new Uint8Array(numbers.buffer);
        await weights.write({ tensor: prepared.tensor, stored: 'F32', begin: 0, bytes });
      }
    } finally {
      executable.destroy();
    }
  }

  #isPrepared({ parts }: Weight): boolean {
    return parts.some(({ tensor }) => this.#prepared.has(tensor));
  }
}

function checkFinite(tensor: string, numbers: Float32Array): void {
  const at = firstNotFinite(numbers);
  if (at < 0) return;
  throw new CheckpointError({
    what: `a number of "${tensor}", which is computed of the weights, is not finite`,
    actual: String(numbers[at]),
    expected: 'finite numbers',
    next: 'The weights are too large for float32 arithmetic: check the checkpoint, and where dtype is "fp16" or "q8" try "fp32".',
    tensor,
  });
}
