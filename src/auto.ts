import { Callable } from './callable.ts';
import type { ModelLocation } from './checkpoint/location.ts';
import { openSource } from './checkpoint/source.ts';
import type { ModelSource } from './checkpoint/types.ts';
import { Engine } from './engine.ts';
import { env } from './env.ts';
import type { EncoderConfig } from './model/config.ts';
import type { EncoderRequest } from './model/encoder.ts';
import { checkSequence } from './model/input.ts';
import { type ModelInputs, type UnpaddedRow, unpadInputs } from './model-inputs.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';
import type { SequenceOutputs } from './plan/passes.ts';
import { Tensor } from './tensor.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';

export interface ModelCallOptions {
  /** Also give `attentions`: one tensor [B, H, L, L] per layer. */
  output_attentions?: boolean;
  /** Also give `hidden_states`: the embeddings, then one tensor [B, L, C] per layer. */
  output_hidden_states?: boolean;
  signal?: AbortSignal;
}

/** Names and shapes of Python's BaseModelOutputWithPooling. Padding is zero in every tensor. */
export interface ModelOutput {
  /** [B, L, C] */
  last_hidden_state: Tensor;
  /** [B, C]; only where the checkpoint has a pooler. */
  pooler_output?: Tensor;
  hidden_states?: Tensor[];
  attentions?: Tensor[];
}

type ModelCall = (inputs: ModelInputs, options?: ModelCallOptions) => Promise<ModelOutput>;

/** A model that can be called: `await model(inputs, options)`. Made by AutoModel.from_pretrained. */
export class PreTrainedModel extends (Callable as new () => ModelCall) {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    super();
    this.#engine = engine;
  }

  get config(): EncoderConfig {
    return this.#engine.config;
  }

  /** The graphics adapter it runs on, for people. */
  get adapter(): string {
    return this.#engine.adapterName;
  }

  /** Bytes that it holds on the GPU now. */
  bytes(): Promise<{ weights: number; activations: number }> {
    return this.#engine.bytes();
  }

  /** What calling the model does. Throws InputError, DeviceError, or the signal's reason. */
  async _call(inputs: ModelInputs, options: ModelCallOptions = {}): Promise<ModelOutput> {
    const { output_attentions = false, output_hidden_states = false, signal } = options;
    const { rows, width } = unpadInputs(inputs);
    const sequences = rows.map(row => checkSequence(this.config, row));
    const request: EncoderRequest = {
      lastHiddenState: true,
      pooler: this.#engine.hasPooler,
      ...(output_hidden_states && { hiddenStates: true }),
      ...(output_attentions && { attentions: true }),
    };
    const outputs: SequenceOutputs[] = [];
    await this.#engine.run(sequences, request, {
      signal,
      each: (index, mine) => {
        outputs[index] = mine;
      },
    });
    const { hiddenSize, heads, layers } = this.config;
    const padded = (name: string) => padTokens(name, outputs, rows, width, hiddenSize);
    const times = (n: number, tensor: (i: number) => Tensor) => Array.from({ length: n }, (_, i) => tensor(i));
    return {
      last_hidden_state: padded('last_hidden_state'),
      ...(request.pooler && { pooler_output: stack('pooler_output', outputs, hiddenSize) }),
      ...(output_hidden_states && { hidden_states: times(layers + 1, i => padded(`hidden_states.${i}`)) }),
      ...(output_attentions && {
        attentions: times(layers, i => padPairs(`attentions.${i}`, outputs, rows, width, heads)),
      }),
    };
  }

  /** Gives back everything it holds on the GPU. */
  async dispose(): Promise<void> {
    this.#engine.dispose();
  }
}

/** Encoders without a head. */
export const AutoModel = {
  /**
   * Loads config.json and the weights of a model (see ModelLocation for where from) onto the GPU.
   * Throws SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
   */
  async from_pretrained(model: ModelLocation, options: PretrainedOptions = {}): Promise<PreTrainedModel> {
    const device = checkOptions(options);
    const engine = await Engine.load(openSource(model, options, env), {
      device,
      progress: options.progress_callback ?? undefined,
      signal: options.signal,
      request: ({ hasPooler }) => ({ lastHiddenState: true, pooler: hasPooler }),
    });
    return new PreTrainedModel(engine);
  },
};

export type TokenizerOptions = Omit<PretrainedOptions, 'dtype' | 'device'>;

/** The tokenizer of a model, from its tokenizer.json and tokenizer_config.json. */
export const AutoTokenizer = {
  from_pretrained(model: ModelLocation, options: TokenizerOptions = {}): Promise<PreTrainedTokenizer> {
    return loadTokenizer(openSource(model, options, env));
  },
};

export async function loadTokenizer(source: ModelSource): Promise<PreTrainedTokenizer> {
  const [json, config] = await Promise.all([
    source.json('tokenizer.json'),
    source.json('tokenizer_config.json', { optional: true }),
  ]);
  return new PreTrainedTokenizer(json, config ?? {});
}

/** One row per sequence -> [B, columns] */
export function stack(name: string, outputs: readonly SequenceOutputs[], columns: number): Tensor {
  const data = new Float32Array(outputs.length * columns);
  outputs.forEach((out, b) => {
    data.set(out.get(name)!, b * columns);
  });
  return new Tensor('float32', data, [outputs.length, columns]);
}

/** One row per token -> [B, width, columns], every token at the place that it had in its padded row. */
export function padTokens(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly Pick<UnpaddedRow, 'places'>[],
  width: number,
  columns: number,
): Tensor {
  const data = new Float32Array(outputs.length * width * columns);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
    rows[b]!.places.forEach((place, i) => {
      data.set(from.subarray(i * columns, (i + 1) * columns), (b * width + place) * columns);
    });
  });
  return new Tensor('float32', data, [outputs.length, width, columns]);
}

/** [H, L, L] of every sequence -> [B, H, width, width] */
function padPairs(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly UnpaddedRow[],
  width: number,
  heads: number,
): Tensor {
  const data = new Float32Array(outputs.length * heads * width * width);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
    const { places } = rows[b]!;
    const L = places.length;
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < L; i++) {
        const to = ((b * heads + h) * width + places[i]!) * width;
        for (let j = 0; j < L; j++) data[to + places[j]!] = from[(h * L + i) * L + j]!;
      }
    }
  });
  return new Tensor('float32', data, [outputs.length, heads, width, width]);
}
