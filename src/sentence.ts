import type { ModelSource } from './checkpoint/types.ts';
import { describe, oneOf, UnsupportedError } from './errors.ts';
import { Fields, isText } from './fields.ts';
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
  const file = 'sentence_bert_config.json';
  const { max_seq_length: maxLength, do_lower_case: lower } = fieldsOf(
    (await source.json(file, { optional: true })) ?? {},
    file,
  ).json;
  oneOf(`do_lower_case of ${file}`, lower ?? false, [false]);
  const [, first, ...rest] = chainOf(modules);
  const config = async ({ path }: Module) => fieldsOf(await source.json(`${path}/config.json`), `${path}/config.json`);
  const pooling = poolingOf((await config(first!)).json);
  const layers = rest.filter(({ kind }) => kind === 'Dense');
  const dense = await Promise.all(layers.map(async layer => denseOf(await config(layer))));
  const files = layers.map(({ path }) => `${path}/model.safetensors`);
  // That they are there is known before the model is loaded with them.
  for (const file of files) await (await source.open(file))!.stream.cancel();
  return {
    pooling,
    dense,
    files,
    normalize: rest.length > layers.length,
    maxLength: typeof maxLength === 'number' ? maxLength : undefined,
  };
}

interface Module {
  readonly kind: string;
  readonly path: string;
}

/** The modules that are built, in their order. */
const CHAIN = 'Transformer, Pooling(, Dense)*(, Normalize)?';

function chainOf(modules: unknown): readonly Module[] {
  const file = 'modules.json';
  const chain = fieldsOf({ modules }, file)
    .list('modules')
    .map(module => {
      const fields = fieldsOf(module, file);
      // A class of the repository's own may have any name; it is told whole.
      const kind = fields.text('type').replace(/^sentence_transformers\.(\w+\.)*/, '');
      return { kind, path: fields.text('path') };
    });
  const kinds = chain.map(({ kind }) => kind).join(', ');
  if (new RegExp(`^${CHAIN}$`).test(kinds)) return chain;
  throw new UnsupportedError({
    what: `the modules of ${file}, or their order, are not supported`,
    actual: kinds || 'none',
    expected: CHAIN,
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
      : [config.pooling_mode].flat().map(mode => (isText(mode) ? mode : describe(mode)));
  return POOLINGS[
    oneOf(
      "this checkpoint's pooling",
      modes.join(' and ') || 'none',
      Object.keys(POOLINGS) as (keyof typeof POOLINGS)[],
    )
  ];
}

const fieldsOf = (value: unknown, file: string) => new Fields(value, '', file);

/** What a dense layer may not have otherwise. */
const FIXED = {
  module_input_name: 'sentence_embedding',
  module_output_name: 'sentence_embedding',
  use_residual: 'false',
};

function denseOf(fields: Fields): DenseLayer {
  const { json } = fields;
  for (const [name, value] of Object.entries(FIXED)) {
    const found = json[name] ?? value;
    oneOf(name, typeof found === 'boolean' ? String(found) : found, [value]);
  }
  const name = fields.text('activation_function', 'Tanh').split('.').at(-1)!;
  const activation = ACTIVATIONS[oneOf("a dense layer's activation", name, Object.keys(ACTIVATIONS))];
  fields.integer('in_features');
  return { outputs: fields.integer('out_features'), bias: json.bias !== false, activation };
}
