import { type TrainingArgument, type TrainingPlan, type UpdatePlan, weightName } from '../gradients/index.ts';
import { type Weight, weightBytes, weightElements } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { MapMode } from './flags.ts';
import type { GuardedCalls } from './guarded-calls.ts';
import { copyFromArrayTexture } from './textures.ts';
import type { RowsCopy } from './weight-change.ts';
import type { WeightStore } from './weights.ts';

export interface TrainingStatesOptions {
  readonly device: GPUDevice;
  readonly plan: TrainingPlan;
  readonly update: UpdatePlan;
  /** All weights of the plan must have been allocated. */
  readonly weights: Pick<WeightStore, 'resource'>;
}

/** A weight that is kept in a texture, and the float32 rows of it that AdamW changes. */
interface Master {
  readonly weight: Weight;
  readonly buffer: GPUBuffer;
  readonly texture: GPUTexture;
}

/**
 * What lasts from step to step: gradients, moments, what else the update has, and the float32 rows of the trained weights. Their names are
 * those of the plan.
 */
export class TrainingStates {
  readonly #options: TrainingStatesOptions;
  readonly #calls: GuardedCalls;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #masters: Master[] = [];
  readonly #created: GPUBuffer[] = [];

  /** Makes all of them. Runs inside the guard of the caller. */
  constructor(options: TrainingStatesOptions, calls: GuardedCalls) {
    this.#options = options;
    this.#calls = calls;
    for (const { name, bytes } of this.#sizes) {
      this.#buffers.set(name, this.#create(`training.${name.slice(0, 80)}`, bytes));
    }
    this.#makeMasters();
  }

  /** All states by their names. */
  get buffers(): ReadonlyMap<string, GPUBuffer> {
    return this.#buffers;
  }

  /** Bytes that they take beside the model's weights. */
  get bytes(): number {
    const states = this.#sizes.reduce((sum, { bytes }) => sum + bytes, 0);
    return states + this.#masters.reduce((sum, { weight }) => sum + weightBytes(rowsOf(weight)), 0);
  }

  /** What a step of the update binds. */
  bound(argument: TrainingArgument): GPUBuffer {
    const buffer = argument.kind === 'state' ? this.#buffers.get(argument.name) : undefined;
    if (!buffer) throw new Error(`training: nothing for ${JSON.stringify(argument)}`);
    return buffer;
  }

  /** Records that the gradients become 0 that the first micro-batch of a step does not write over. */
  clearGradients(encoder: GPUCommandEncoder): void {
    for (const { name } of this.#options.update.cleared) encoder.clearBuffer(this.#buffers.get(name)!);
  }

  /** Records that those parts of gradients become 0 whose weights are frozen. */
  clearFrozen(encoder: GPUCommandEncoder): void {
    for (const { name, first, bytes } of this.#options.update.frozen) {
      encoder.clearBuffer(this.#buffers.get(name)!, first, bytes);
    }
  }

  /** What textures get after the update of their rows. */
  get copies(): RowsCopy[] {
    return this.#masters.map(({ weight, buffer, texture }) => ({
      from: buffer,
      to: texture,
      elements: weightElements(weight),
    }));
  }

  /** The numbers of a state: a gradient, or a running mean. */
  async read(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { device } = this.#options;
    const { bytes } = this.#sizes.find(state => state.name === name)!;
    const readback = this.#calls.run(() => createBuffer(device, 'training.readback', bytes, 'MAP_READ'));
    try {
      const mapped = this.#calls.run(() => {
        const encoder = device.createCommandEncoder({ label: 'training.read' });
        encoder.copyBufferToBuffer(this.#buffers.get(name)!, 0, readback, 0, readback.size);
        device.queue.submit([encoder.finish()]);
        return readback.mapAsync(MapMode.READ);
      });
      await this.#calls.waited(mapped);
      await this.#calls.settled();
      return new Float32Array(readback.getMappedRange()).slice();
    } finally {
      readback.destroy();
    }
  }

  /** Sets the numbers of a state. Of a moment whose table has marks, any part may have had a gradient before: all are marked. */
  write(name: string, numbers: Float32Array<ArrayBuffer>): void {
    const { device, update } = this.#options;
    const seen = update.marks.get(name);
    this.#calls.run(() => {
      device.queue.writeBuffer(this.#buffers.get(name)!, 0, numbers);
      if (seen) device.queue.writeBuffer(this.#buffers.get(seen.name)!, 0, new Uint32Array(seen.bytes / 4).fill(1));
    });
  }

  /** Gives them back, but not the model's weights. Runs inside the error scopes of the caller. */
  destroy(): void {
    for (const buffer of this.#created) buffer.destroy();
  }

  get #sizes(): readonly { readonly name: string; readonly bytes: number }[] {
    const { gradients, moments, others } = this.#options.update;
    return [...gradients, ...moments, ...others];
  }

  #create(label: string, bytes: number): GPUBuffer {
    const buffer = createBuffer(this.#options.device, label, bytes);
    this.#created.push(buffer);
    return buffer;
  }

  /** The float32 rows of the trained weights that the model keeps in textures; others are the model's own buffers. */
  #makeMasters(): void {
    const { device, plan, update, weights } = this.#options;
    const encoder = device.createCommandEncoder({ label: 'training.masters' });
    for (const weight of update.weights) {
      const name = weightName(weight);
      const stored = plan.weights.find(other => weightName(other) === name)!;
      const resource = weights.resource(stored);
      if ('createView' in resource) {
        const buffer = this.#create(`training.weight.${weight.name.slice(0, 60)}`, weightBytes(rowsOf(weight)));
        copyFromArrayTexture(encoder, resource, buffer, weightElements(stored));
        this.#masters.push({ weight: stored, buffer, texture: resource });
        this.#buffers.set(name, buffer);
      } else {
        this.#buffers.set(name, resource);
      }
    }
    device.queue.submit([encoder.finish()]);
  }
}

/** The weight as plain float32 rows. */
const rowsOf = (weight: Weight): Weight => ({ ...weight, storage: { format: 'f32', texels: false } });
