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

const POOLINGS = { mean: 'mean', cls: 'cls', max: 'max', lasttoken: 'last' } as const;

const ACTIVATIONS: Readonly<Record<string, DenseLayer['activation']>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
};

/**
 * Reads modules.json and what it names; undefined where the checkpoint has none, as one that is not of sentence-transformers.
 * Throws UnsupportedError for a module, an order of modules or a pooling that is not built, SourceError for a file that is
 * missing or malformed.
 * Source: sentence-transformers, base/modules and sentence_transformer/modules (up to 5.x: models).
 */
export async function readModules(source: ModelSource): Promise<SentenceModules | undefined> {
  const modules = await source.json('modules.json', { optional: true });
  if (modules === undefined) return undefined;
  const { max_seq_length: maxLength, do_lower_case: lower } = object(
    (await source.json('sentence_bert_config.json', { optional: true })) ?? {},
    'sentence_bert_config.json',
  );
  if (lower === true) {
    throw new UnsupportedError({
      what: 'sentence_bert_config.json lowercases the text before the tokenizer, which is not built',
      actual: 'do_lower_case: true',
      supported: ['do_lower_case: false'],
    });
  }
  const [, first, ...rest] = chainOf(modules);
  const config = async ({ path }: Module) => object(await source.json(`${path}/config.json`), `${path}/config.json`);
  const pooling = poolingOf(await config(first!));
  const dense: DenseLayer[] = [];
  const files: string[] = [];
  for (const module of rest) {
    if (module.kind !== 'Dense') continue;
    dense.push(denseOf(await config(module), `${module.path}/config.json`));
    const file = `${module.path}/model.safetensors`;
    // That it is there is known before the model is loaded with it.
    await (await source.open(file))!.stream.cancel();
    files.push(file);
  }
  return {
    pooling,
    dense,
    files,
    normalize: rest.at(-1)?.kind === 'Normalize',
    maxLength: typeof maxLength === 'number' ? maxLength : undefined,
  };
}

interface Module {
  readonly kind: string;
  readonly path: string;
}

/** The modules of modules.json in their order: a transformer, a pooling, dense layers, and a normalisation or none. */
function chainOf(modules: unknown): readonly Module[] {
  const file = 'modules.json';
  if (!Array.isArray(modules)) throw malformed(file, modules, 'a list of modules');
  const chain = modules.map(module => {
    const { type, path } = object(module, file);
    if (typeof type !== 'string' || typeof path !== 'string')
      throw malformed(file, module, 'modules of a type and a path');
    // A class of the repository's own may have any name; it is told whole.
    return { kind: type.replace(/^sentence_transformers\.(\w+\.)*/, ''), path };
  });
  const kinds = chain.map(({ kind }) => kind).join(', ');
  if (/^Transformer, Pooling(, Dense)*(, Normalize)?$/.test(kinds)) return chain;
  throw new UnsupportedError({
    what: 'the modules of modules.json are not built in this order, or one of them is not built at all',
    actual: kinds || 'none',
    expected: 'Transformer, Pooling, any number of Dense, and at most one Normalize',
    supported: ['Transformer', 'Pooling', 'Dense', 'Normalize'],
  });
}

/** From 6.x on `pooling_mode` names it, or several in a list; before, it was the one of several booleans that was true. */
function poolingOf(config: Record<string, unknown>): SentenceModules['pooling'] {
  const modes =
    config.pooling_mode === undefined
      ? Object.keys(config).flatMap(
          key => (config[key] === true && /^pooling_mode_(.+?)(_tokens?)?$/.exec(key)?.[1]) || [],
        )
      : [config.pooling_mode].flat().map(String);
  const [name] = modes;
  if (modes.length === 1 && Object.hasOwn(POOLINGS, name!)) return POOLINGS[name as keyof typeof POOLINGS];
  throw new UnsupportedError({
    what: 'the pooling of this checkpoint is not built',
    actual: modes.join(' and ') || 'none',
    supported: Object.keys(POOLINGS),
  });
}

function object(value: unknown, file: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(file, value, 'an object');
  return value as Record<string, unknown>;
}

function malformed(file: string, value: unknown, expected: string): SourceError {
  return new SourceError({ file, what: `${file} is malformed`, actual: JSON.stringify(value), expected });
}

function denseOf(config: Record<string, unknown>, file: string): DenseLayer {
  const { in_features: inputs, out_features: outputs, bias = true, activation_function: name = 'Tanh' } = config;
  const elsewhere = ['module_input_name', 'module_output_name', 'use_residual'].find(
    key => ![undefined, null, false, 'sentence_embedding'].includes(config[key] as null),
  );
  if (elsewhere) {
    throw new UnsupportedError({
      what: `${file} asks for what is not built`,
      actual: `${elsewhere}: ${config[elsewhere]}`,
      supported: ["module_input_name: 'sentence_embedding'", 'use_residual: false'],
    });
  }
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
