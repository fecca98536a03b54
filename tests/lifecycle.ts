import { randomBert } from '../e2e/random-bert.ts';
import { outputOf } from '../src/api/outputs.ts';
import type { ModelSource } from '../src/checkpoint/source/types.ts';
import { Engine, type EngineOptions } from '../src/engine/engine.ts';
import type { Sequence } from '../src/plan/sequence.ts';
import { streamedFile } from './checkpoint-bytes.ts';
import { type FakeDevice, type FakeWorld, weightSum } from './fake-gpu.ts';

/** Engines on fake devices, for the tests of what happens when. */

/** Four columns, so that all tensors lie on the GPU as they lie in the file. */
const files = randomBert(
  {
    vocab_size: 40,
    hidden_size: 4,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    intermediate_size: 4,
    hidden_act: 'gelu',
    max_position_embeddings: 2048,
    type_vocab_size: 2,
  },
  { seed: 3, as: 'F32' },
).files as Record<string, Uint8Array<ArrayBuffer>>;
const config: unknown = JSON.parse(new TextDecoder().decode(files['config.json']));
const weights = files['model.safetensors']!;

/** Files whose bytes come when the world says so, and which notice whether they are closed. */
export class FakeFiles {
  /** Streams that are neither at their end nor cancelled. */
  open = 0;
  opened = 0;
  isGone = false;

  constructor(readonly world: FakeWorld) {}

  /** It heeds the signal no more than a slow server does. */
  readonly source: ModelSource = {
    name: 'fake',
    json: () => this.world.later(() => this.#there(config)),
    open: () =>
      this.world.later(() => {
        this.#there(config);
        this.open++;
        this.opened++;
        let at = 0;
        const stream = new ReadableStream<Uint8Array>(
          {
            pull: async controller => {
              if (at === weights.length) {
                this.open--;
                return controller.close();
              }
              await this.world.later(() => undefined);
              const end = Math.min(weights.length, at + 200 + this.world.below(weights.length));
              controller.enqueue(weights.slice(at, end));
              at = end;
            },
            cancel: () => {
              this.open--;
            },
          },
          { highWaterMark: 0 },
        );
        return streamedFile(stream, weights.length);
      }),
  };

  #there<T>(value: T): T {
    if (this.isGone) throw new Error('the files are gone');
    return value;
  }
}

export function load(
  files: FakeFiles,
  options: Partial<Omit<EngineOptions, 'device'>> & { device?: FakeDevice | undefined } = {},
): Promise<Engine> {
  return Engine.load(files.source, {
    request: () => ({ lastHiddenState: true }),
    reopen: () => files.source,
    ...options,
  } as unknown as EngineOptions);
}

/** Sequences of so many tokens, each of one id. */
export const sequencesOf = (lengths: readonly number[]): Sequence[] =>
  lengths.map((length, i) => {
    const all = new Array(length).fill(i % 40);
    return { ids: all, positions: [...all.keys()], types: all.map(() => 0) };
  });

/** How a call went on. */
export interface CallState {
  readonly wanted: readonly Sequence[];
  /** The answers in the order in which they were told. */
  readonly told: { sequence: Sequence; rows: Float32Array }[];
  ended: 'done' | { error: unknown } | undefined;
}

export function call(engine: Engine, wanted: readonly Sequence[], signal?: AbortSignal): CallState {
  const state: CallState = { wanted, told: [], ended: undefined };
  // A generator: what has been taken out of it does not come again.
  function* once() {
    yield* wanted;
  }
  engine
    .run(
      once(),
      { lastHiddenState: true },
      {
        signal,
        done: ran => {
          for (const { sequence, outputs } of ran) {
            state.told.push({ sequence, rows: outputOf(outputs, 'last_hidden_state') });
          }
        },
      },
    )
    .then(
      () => {
        state.ended = 'done';
      },
      (error: unknown) => {
        state.ended = { error };
      },
    );
  return state;
}

/** What is wrong with the answers of a call that says it is done; nothing where all is right. */
export function wrongs({ wanted, told }: CallState): string | undefined {
  if (told.length !== wanted.length) return `${told.length} answers for ${wanted.length} sequences`;
  for (const [i, { sequence, rows }] of told.entries()) {
    if (sequence !== wanted[i]) return `answer ${i} is of another sequence`;
    if (rows.length !== 4 * sequence.ids.length) return `answer ${i} has ${rows.length} numbers`;
    const right = sequence.ids[0]! + SUM;
    if (!rows.every(value => value === right)) return `answer ${i} is ${rows[0]}, not ${right}`;
  }
  return undefined;
}

/** Of all weights of the encoder: the file's tensors but the pooler's. */
const SUM = (() => {
  const length = Number(new DataView(weights.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + length))) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__' && !name.includes('pooler'));
  return weightSum(
    tensors.map(
      ([
        ,
        {
          data_offsets: [begin, end],
        },
      ]) => weights.subarray(8 + length + begin, 8 + length + end),
    ),
  );
})();
