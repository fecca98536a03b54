import type { ModelSource } from './checkpoint/types.ts';
import { SourceError, UnsupportedError } from './errors.ts';
import type { DenseLayer } from './model/encoder.ts';

/** How a checkpoint of sentence-transformers makes one vector of a text: its modules after the transformer. */
export interface SentenceModules {
  readonly pooling: 'mean' | 'cls' | 'max' | 'last';
  /** Linear layers on the pooled row, in order, and the files of their weights. */
  readonly dense: readonly DenseLayer[];
  readonly files: readonly string[];
  readonly normalize: boolean;
  /** `max_seq_length` of sentence_bert_config.json. */
  readonly maxLength: number | undefined;
}

const POOLINGS = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_lasttoken: 'last',
} as const;

const ACTIVATIONS: Readonly<Record<string, DenseLayer['activation']>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
};

/**
 * Reads modules.json and what it names; undefined where the checkpoint has none, as one that is not of sentence-transformers.
 * Throws UnsupportedError for a module or pooling that is not built.
 * Source: sentence-transformers, models/Pooling.py and models/Dense.py.
 */
export async function readModules(source: ModelSource): Promise<SentenceModules | undefined> {
  const modules = await source.json('modules.json', { optional: true });
  if (!Array.isArray(modules)) return undefined;
  const own = await source.json('sentence_bert_config.json', { optional: true });
  const maxLength = (own as { max_seq_length?: unknown } | undefined)?.max_seq_length;
  let pooling: SentenceModules['pooling'] | undefined;
  let normalize = false;
  const dense: DenseLayer[] = [];
  const files: string[] = [];
  for (const { type, path = '' } of modules as { type?: string; path?: string }[]) {
    const kind = String(type).split('.').at(-1);
    const config = async () => (await source.json(`${path}/config.json`)) as Record<string, unknown>;
    if (kind === 'Transformer') continue;
    else if (kind === 'Pooling') pooling = poolingOf(await config());
    else if (kind === 'Normalize') normalize = true;
    else if (kind === 'Dense') {
      dense.push(denseOf(await config(), `${path}/config.json`));
      files.push(`${path}/model.safetensors`);
    } else {
      throw new UnsupportedError({
        what: 'modules.json names a module that is not built',
        actual: String(type),
        supported: ['Transformer', 'Pooling', 'Dense', 'Normalize'],
      });
    }
  }
  return {
    pooling: pooling ?? 'mean',
    dense,
    files,
    normalize,
    maxLength: typeof maxLength === 'number' ? maxLength : undefined,
  };
}

function poolingOf(config: Record<string, unknown>): SentenceModules['pooling'] {
  const on = Object.keys(config).filter(key => key.startsWith('pooling_mode_') && config[key] === true);
  const [name] = on;
  if (on.length === 1 && name && Object.hasOwn(POOLINGS, name)) return POOLINGS[name as keyof typeof POOLINGS];
  throw new UnsupportedError({
    what: 'the pooling of this checkpoint is not built',
    actual: on.join(' and ') || 'none',
    supported: Object.keys(POOLINGS),
  });
}

function denseOf(config: Record<string, unknown>, file: string): DenseLayer {
  const { in_features: inputs, out_features: outputs, bias = true, activation_function: name = 'Tanh' } = config;
  const activation = String(name).split('.').at(-1)!;
  if (!Object.hasOwn(ACTIVATIONS, activation)) {
    throw new UnsupportedError({
      what: `${file} names an activation that is not built`,
      actual: String(name),
      supported: Object.keys(ACTIVATIONS),
    });
  }
  if (!Number.isSafeInteger(inputs) || !Number.isSafeInteger(outputs)) {
    throw new SourceError({
      file,
      what: `${file} has no sizes`,
      actual: `in_features ${inputs}, out_features ${outputs}`,
      expected: 'whole numbers',
    });
  }
  return { outputs: outputs as number, bias: bias !== false, activation: ACTIVATIONS[activation] };
}
