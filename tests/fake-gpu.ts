import { random } from './checkpoint-bytes.ts';

/**
 * A GPU that computes nothing and forgives nothing. It keeps count of everything that a device can be left with: buffers, textures,
 * maps, error scopes (a stack), listeners. What takes time ends when `step` says so, in an order that the seed chooses. An operation
 * that WebGPU would refuse is an error of the innermost scope that fits; where there is none it is noted in `complaints`, as an
 * application of the caller's would hear of it.
 *
 * A pass gives for each row of an output the id of its token and a sum over the weights that it binds, so an answer tells whether
 * tokens and weights were there.
 */

const USAGES = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 };

/** What WebGPU has as globals. */
export const GPU_GLOBALS = {
  GPUBufferUsage: USAGES,
  GPUMapMode: { READ: 1 },
  GPUTextureUsage: { COPY_DST: 2, TEXTURE_BINDING: 4, STORAGE_BINDING: 8 },
};

const gone = (name: string) => new DOMException('The device or the buffer is gone.', name);

export class FakeWorld {
  readonly next: () => number;
  readonly devices: FakeDevice[] = [];
  readonly complaints: string[] = [];
  readonly #pending: (() => void)[] = [];
  /** Whether what takes time ends in the order in which it began. */
  inOrder = false;
  /** How often, of ten, an adapter that is asked for is none. */
  adapterFails = 0;
  requests = 0;

  constructor(seed: number) {
    this.next = random(seed);
  }

  below(most: number): number {
    return Math.floor(this.next() * most);
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** Happens at some later step. */
  later<T>(make: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#pending.push(() => {
        try {
          resolve(make());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Ends one thing that takes time, and lets all happen that waits for it. False where there is none. */
  async step(): Promise<boolean> {
    const at = this.inOrder ? 0 : this.below(this.#pending.length);
    const [one] = this.#pending.splice(at, 1);
    one?.();
    await settled();
    for (const { scopes } of this.devices) if (scopes.length > 0) this.complaints.push('a scope is left open');
    return one !== undefined;
  }

  async drain(): Promise<void> {
    await settled();
    while (await this.step());
  }

  /** `navigator.gpu` */
  readonly gpu = {
    requestAdapter: () => {
      this.requests++;
      return this.later(() => (this.below(10) < this.adapterFails ? null : this.adapter()));
    },
  };

  adapter() {
    return {
      limits: LIMITS,
      features: new Set<string>(),
      info: { vendor: 'fake' },
      requestDevice: () => this.later(() => new FakeDevice(this, true)),
    };
  }
}

/** Lets everything happen that waits for nothing. */
export const settled = () => new Promise<void>(resolve => setImmediate(resolve));

const LIMITS = {
  maxBufferSize: 1 << 28,
  maxStorageBufferBindingSize: 1 << 27,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16_384,
  maxStorageBuffersPerShaderStage: 8,
};

class FakeBuffer {
  readonly bytes: Uint8Array;
  readonly label: string;
  isDestroyed = false;
  #sum: number | undefined;
  map: 'no' | 'pending' | 'yes' = 'no';
  #cancelMap: (() => void) | undefined;

  constructor(
    readonly device: FakeDevice,
    { label = '', size, usage }: GPUBufferDescriptor,
  ) {
    this.label = label;
    this.bytes = new Uint8Array(size);
    if (usage === 0) device.refuse('a buffer without a use');
  }

  /** Of its bytes. */
  get sum(): number {
    this.#sum ??= this.bytes.reduce((a, b) => a + b, 0);
    return this.#sum;
  }

  write(bytes: Uint8Array, at: number): void {
    this.bytes.set(bytes, at);
    this.#sum = undefined;
  }

  get size(): number {
    return this.bytes.length;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.unmap();
    this.device.buffers.delete(this);
  }

  unmap(): void {
    this.#cancelMap?.();
    this.#cancelMap = undefined;
    this.map = 'no';
  }

  mapAsync(_mode: number, offset: number, size: number): Promise<void> {
    const { device } = this;
    if (device.isLost) return device.world.later(() => Promise.reject(gone('OperationError')));
    if (this.isDestroyed || this.map !== 'no' || offset + size > this.size) {
      device.refuse(`${this.label} is mapped while it is destroyed or mapped`);
      return Promise.reject(gone('OperationError'));
    }
    this.map = 'pending';
    return new Promise((resolve, reject) => {
      this.#cancelMap = () => {
        if (this.map === 'pending') reject(gone('AbortError'));
      };
      void device.world.later(() => {
        if (this.map !== 'pending') return;
        if (device.isLost) return this.#cancelMap!();
        this.map = 'yes';
        resolve();
      });
    });
  }

  getMappedRange(offset: number, size: number): ArrayBuffer {
    if (this.map !== 'yes') throw gone('OperationError');
    return this.bytes.slice(offset, offset + size).buffer;
  }
}

class FakeTexture {
  isDestroyed = false;
  constructor(readonly device: FakeDevice) {}
  createView() {
    return { texture: this };
  }
  destroy(): void {
    this.isDestroyed = true;
    this.device.textures.delete(this);
  }
}

interface Bound {
  buffer?: FakeBuffer;
  texture?: FakeTexture;
}

interface Commands {
  readonly used: Bound[];
  readonly copies: { from: FakeBuffer; to: FakeBuffer; offset: number; size: number }[];
}

export class FakeDevice {
  readonly limits = LIMITS;
  readonly features = new Set<string>();
  readonly adapterInfo = { vendor: 'fake' };
  readonly buffers = new Set<FakeBuffer>();
  readonly textures = new Set<FakeTexture>();
  readonly scopes: { filter: string; error: { message: string } | null }[] = [];
  /** Compilations never end. */
  neverCompiles = false;
  isLost = false;
  readonly #listeners = new Set<EventListener>();
  readonly lost: Promise<{ reason: string; message: string }>;
  #lose!: (info: { reason: string; message: string }) => void;
  readonly #events = new EventTarget();
  /** What the submits since the last copy have bound. */
  readonly #pass: Bound[] = [];
  /** Firefox: it refuses all that it is told when it is lost, as errors, before it is said to be lost. */
  readonly isLoud: boolean;

  constructor(
    readonly world: FakeWorld,
    /** Whoever asked the adapter for it has to give it back. */
    readonly isOfAdapter = false,
  ) {
    world.devices.push(this);
    this.isLoud = world.below(2) === 1;
    this.lost = new Promise(resolve => {
      this.#lose = resolve;
    });
  }

  /** As somebody's else's code, the driver or the browser takes it away. */
  lose(reason = 'unknown'): void {
    if (this.isLost) return;
    this.isLost = true;
    void this.world.later(() => this.#lose({ reason, message: `lost: ${reason}` }));
    // What waits for a map hears of it sooner or later than whoever waits for `lost`.
    for (const buffer of this.buffers) if (this.world.below(2)) buffer.unmap();
  }

  destroy(): void {
    for (const each of [...this.buffers, ...this.textures]) each.destroy();
    this.lose('destroyed');
  }

  refuse(message: string): void {
    if (this.isLost && !this.isLoud) return;
    const scope = this.scopes.findLast(({ filter }) => filter === 'validation');
    if (scope) scope.error ??= { message };
    else {
      if (!this.isLost) this.world.complaints.push(message);
      this.#events.dispatchEvent(Object.assign(new Event('uncapturederror'), { error: { message } }));
    }
  }

  pushErrorScope(filter: string): void {
    this.scopes.push({ filter, error: null });
  }

  popErrorScope(): Promise<{ message: string } | null> {
    const scope = this.scopes.pop();
    if (!scope) return Promise.reject(gone('OperationError'));
    return this.world.later(() => {
      if (!this.isLost) return scope.error;
      return this.world.below(2) ? null : Promise.reject(gone('OperationError'));
    });
  }

  addEventListener(type: string, listener: EventListener): void {
    this.#listeners.add(listener);
    this.#events.addEventListener(type, listener);
  }

  removeEventListener(type: string, listener: EventListener): void {
    this.#listeners.delete(listener);
    this.#events.removeEventListener(type, listener);
  }

  createBuffer(descriptor: GPUBufferDescriptor): FakeBuffer {
    const buffer = new FakeBuffer(this, descriptor);
    this.buffers.add(buffer);
    return buffer;
  }

  createTexture(): FakeTexture {
    const texture = new FakeTexture(this);
    this.textures.add(texture);
    return texture;
  }

  createShaderModule() {
    return { getCompilationInfo: async () => ({ messages: [] }) };
  }

  createComputePipelineAsync() {
    if (this.neverCompiles) return new Promise<never>(() => undefined);
    return this.world.later(() => ({ getBindGroupLayout: () => ({}) }));
  }

  createBindGroup({ entries }: { entries: { resource: Bound }[] }): Bound[] {
    const bound = entries.map(({ resource }) => resource);
    this.#use(bound, 'bound');
    return bound;
  }

  #use(bound: readonly Bound[], how: string): void {
    if (this.isLost) this.refuse('the device is lost');
    for (const { buffer, texture } of bound) {
      const each = buffer ?? texture!;
      if (each.device !== this) this.refuse('a buffer of another device');
      if (each.isDestroyed) this.refuse(`a destroyed buffer is ${how}: ${buffer?.label}`);
      if (buffer && buffer.map !== 'no') this.refuse(`a mapped buffer is ${how}: ${buffer.label}`);
    }
  }

  createCommandEncoder() {
    const commands: Commands = { used: [], copies: [] };
    return {
      beginComputePass: () => ({
        setPipeline() {},
        setBindGroup: (_: number, bound: Bound[]) => commands.used.push(...bound),
        dispatchWorkgroups() {},
        end() {},
      }),
      copyBufferToTexture: (from: Bound, to: { texture: FakeTexture }) => commands.used.push(from, to),
      copyBufferToBuffer: (from: FakeBuffer, _: number, to: FakeBuffer, offset: number, size: number) => {
        commands.copies.push({ from, to, offset, size });
      },
      finish: () => commands,
    };
  }

  readonly queue = {
    writeBuffer: (buffer: FakeBuffer, at: number, data: ArrayBufferView | ArrayBuffer, offset = 0, size?: number) => {
      this.#use([{ buffer }], 'written');
      const view = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset) : new Uint8Array(data);
      const length = size ?? data.byteLength - offset;
      if (at + length > buffer.size) return this.refuse('a write past the end');
      if (!this.isLost) buffer.write(view.subarray(offset, offset + length), at);
    },
    submit: (all: Commands[]) => {
      for (const { used, copies } of all) {
        this.#use([...used, ...copies.flatMap(({ from, to }) => [{ buffer: from }, { buffer: to }])], 'submitted');
        if (this.isLost) continue;
        // A pass may be several submits, of which the last one copies.
        if (used.some(({ buffer }) => buffer?.label.startsWith('executable.'))) this.#pass.push(...used);
        if (copies.length === 0) continue;
        const bound = this.#pass.splice(0);
        const weights = new Set(bound.flatMap(({ buffer }) => (buffer?.label.startsWith('weight.') ? [buffer] : [])));
        const sum = [...weights].reduce((total, buffer) => total + buffer.sum, 0) % 1000;
        const tokens = bound.find(({ buffer }) => buffer?.label === 'executable.tokens')?.buffer;
        const ids = tokens && new Uint32Array(tokens.bytes.buffer);
        for (const { from, to, offset, size } of copies) {
          // A load only copies.
          if (!ids) {
            to.write(from.bytes.subarray(0, size), offset);
            continue;
          }
          const rows = new Float32Array(to.bytes.buffer, offset, size / 4);
          // Rows of four floats, tokens of four numbers.
          rows.forEach((_, i) => {
            rows[i] = ids[i - (i % 4)]! + sum;
          });
        }
      }
    },
    onSubmittedWorkDone: () => this.world.later(() => undefined),
  };

  /** What is left on it, for whoever compares it with nothing. */
  get left() {
    return {
      buffers: [...this.buffers].map(({ label }) => label),
      textures: this.textures.size,
      scopes: this.scopes.length,
      listeners: this.#listeners.size,
      isOpen: this.isOfAdapter && !this.isLost,
    };
  }
}

/** A whole number below 1000 that tells weights apart. */
export function weightSum(all: readonly Uint8Array[]): number {
  return all.reduce((sum, bytes) => sum + bytes.reduce((a, b) => a + b, 0), 0) % 1000;
}

export const NOTHING_LEFT = { buffers: [], textures: 0, scopes: 0, listeners: 0, isOpen: false };
