import { type ModelLocation, openSource } from '../checkpoint/source/index.ts';
import { Fields, type Json } from '../json.ts';
import { env } from './env.ts';
import { stopping } from './loading.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';

/** The options of AutoConfig: those of a load, and a configuration in place of the file. */
export interface ConfigOptions extends Omit<PretrainedOptions, 'dtype' | 'device' | 'default_task'> {
  /** A configuration that is already there: nothing is fetched. */
  config?: object | null;
}

/** By `model_type`, the fields that transformers.js has under other names in `normalized_config`. It needs them to generate text. */
const NORMALIZED_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  gemma3_text: { num_heads: 'num_key_value_heads', num_layers: 'num_hidden_layers', dim_kv: 'head_dim' },
};
const KEPT_NAMES = ['model_type', 'multi_query', 'is_encoder_decoder'];

/**
 * The fields of a config.json under their own names, with the defaults and the `normalized_config` that transformers.js gives to the
 * families of this library. Nothing else is checked: AutoModel says whether a model runs.
 */
export class PretrainedConfig {
  model_type: string | null = null;
  is_encoder_decoder = false;
  normalized_config: Readonly<Record<string, unknown>>;
  [field: string]: unknown;

  /** @param configJSON config.json, parsed. Throws SourceError where it is no object. */
  constructor(configJSON: unknown) {
    const { json } = new Fields(configJSON, '', 'config.json');
    // Each is defined: an assignment to a field that a file calls __proto__ would change what the object inherits.
    for (const [name, value] of Object.entries(json)) {
      Object.defineProperty(this, name, { value, enumerable: true, writable: true, configurable: true });
    }
    this.normalized_config = normalized(this);
  }

  /**
   * Reads config.json of a model; ModelLocation says where from.
   * Throws SourceError, UnsupportedError for an option that is not built, InputError, or the signal's reason.
   */
  static async from_pretrained(model: ModelLocation, options?: ConfigOptions | null): Promise<PretrainedConfig> {
    const { config, ...load } = options ?? {};
    checkOptions(load);
    if (config) return new PretrainedConfig(config);
    return stopping(
      load.signal,
      async signal => new PretrainedConfig(await openSource(model, { ...load, signal }, env).json('config.json')),
    );
  }
}

function normalized(config: Json): Json {
  const names = NORMALIZED_NAMES[String(config.model_type)] ?? {};
  const kept = KEPT_NAMES.filter(name => config[name] !== undefined).map(name => [name, config[name]]);
  return Object.fromEntries([...kept, ...Object.entries(names).map(([name, own]) => [name, config[own]])]);
}

export const AutoConfig = {
  /**
   * Reads config.json of a model, and nothing else of it.
   * Throws SourceError, UnsupportedError for an option that is not built, InputError, or the signal's reason.
   *
   *   const config = await AutoConfig.from_pretrained('sentence-transformers/all-MiniLM-L6-v2');
   *   config.hidden_size; // 384
   */
  from_pretrained: (model: ModelLocation, options?: ConfigOptions | null): Promise<PretrainedConfig> =>
    PretrainedConfig.from_pretrained(model, options),
};
