import { oneOf } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';
import type { LengthStretch } from '../plan/index.ts';
import { CONFIG_FILE } from './config-file.ts';

/** Rotary positions of a layer (Su et al., arXiv 2104.09864): see RotaryOp. */
export interface Rotary {
  /** In radians for each position; d / 2 numbers for the d columns of a head that turn. */
  readonly frequencies: readonly number[];
  /** Default: false. */
  readonly interleaved?: boolean;
  /** Default: false. */
  readonly turnsValues?: boolean;
  /** The tensor that has the checkpoint's own angles: see RotaryOp. */
  readonly stored?: { readonly tensor: string; readonly positions?: number };
  /** See RotaryOp. Default: the frequencies are the same at every length. */
  readonly stretch?: LengthStretch;
  /** What Python multiplies the cosines and sines by; so a score grows by its square. Default: 1. */
  readonly magnitude?: number;
}

export interface RotarySettings {
  /** D */
  readonly headSize: number;
  /** The kind of layer, where a family has settings for several. */
  readonly kind?: string;
  /** The older name of the base. Default: rope_theta. */
  readonly theta?: string;
  /** The base where config.json says none. */
  readonly missing: number;
  /** The largest number of tokens of a sequence. */
  readonly maxPositions: number;
  /** `rope_scaling`, the older name of the scaling, is not about this kind of layer. */
  readonly ignoresOlderScaling?: boolean;
}

export const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0 && value < 1e12;

/**
 * Reads the rotary settings of config.json in either spelling: `rope_parameters` (transformers 5), one object or one for each kind of
 * layer; or `rope_theta` and `rope_scaling`, which takes the place of `rope_parameters` where both are there. Without scaling the whole
 * head turns, whatever `partial_rotary_factor` says: the families' own code does not read it. Throws UnsupportedError for a type of
 * scaling that is not built. Source: transformers' modeling_rope_utils.py, and convert_rope_params_to_dict of the families' configs.
 */
export function rotaryOf(fields: Fields, settings: RotarySettings): Rotary {
  const { headSize, missing } = settings;
  const parameters = parametersOf(fields, settings);
  const theta = parameters.get('rope_theta', isPositive, 'a positive number', missing);
  // With scaling, Python makes fewer frequencies than its code for heads can use, and fails.
  if (parameters.text('rope_type', 'default') !== 'default') {
    oneOf('"partial_rotary_factor" of config.json', parameters.json.partial_rotary_factor ?? 1, [1]);
  }
  const columns = 2 * Math.floor(headSize / 2);
  // Python asks for `truncate` where there are no kinds of layers.
  const truncates = settings.kind !== undefined || parameters.flag('truncate', true);
  return scaled(parameters, { theta, columns, maxPositions: settings.maxPositions, truncates });
}

/**
 * The settings that apply. `rope_scaling` stands for all of `rope_parameters`; a family with several kinds of layers takes what stands
 * there for the kind, or the default type, changed by `rope_scaling`. `type` is an older name of rope_type, read where that is missing: so
 * families with several kinds do not scale by `rope_scaling: { type }` alone, as in Python.
 */
function parametersOf(
  fields: Fields,
  { kind, theta = 'rope_theta', ignoresOlderScaling = false }: Omit<RotarySettings, 'headSize'>,
): Fields {
  const all = isRecord(fields.json.rope_parameters) ? fields.json.rope_parameters : {};
  const ofKind = kind !== undefined && isRecord(all[kind]) ? all[kind] : { rope_type: 'default' };
  const older = isRecord(fields.json.rope_scaling) && !ignoresOlderScaling ? fields.json.rope_scaling : {};
  const merged: Json = { rope_theta: fields.json[theta], partial_rotary_factor: fields.json.partial_rotary_factor };
  const ofAll = Object.keys(older).length > 0 ? older : all;
  for (const source of kind === undefined ? [ofAll] : [ofKind, older]) {
    for (const [name, value] of Object.entries(source)) if ((value ?? null) !== null) merged[name] = value;
  }
  merged.rope_type ??= merged.type;
  return new Fields(merged, '', { ...CONFIG_FILE });
}

/** The frequencies of d columns, theta^(-2 i / d), as the type of scaling changes them. */
function scaled(parameters: Fields, { theta, columns, maxPositions, truncates }: Scaled): Rotary {
  const plain = frequenciesOf(theta, columns);
  const factor = () => parameters.get('factor', isPositive, 'a positive number');
  const type = oneOf('the scaling of rotary positions', parameters.text('rope_type', 'default'), TYPES);
  switch (type) {
    case 'default':
      return { frequencies: plain };
    case 'linear':
      return { frequencies: plain.map(frequency => frequency / factor()) };
    case 'dynamic':
      return { frequencies: plain, stretch: { factor: factor(), positions: maxPositions } };
    case 'ntk':
      return { frequencies: ntk(parameters, { theta, columns, factor: factor() }) };
    case 'llama3':
      return { frequencies: llama3(parameters, plain, { factor: factor(), maxPositions }) };
    case 'yarn':
      return yarn(parameters, plain, { factor: factor(), theta, maxPositions, truncates });
    default:
      return type satisfies never;
  }
}

interface Scaled {
  readonly theta: number;
  /** d */
  readonly columns: number;
  readonly maxPositions: number;
  /** Whether the bounds of YaRN's ramp are whole numbers. */
  readonly truncates: boolean;
}

const TYPES = ['default', 'linear', 'dynamic', 'ntk', 'llama3', 'yarn'] as const;

/**
 * theta^(-2 i / d) for d columns that turn. Of a d that is not even, as flash attention's classes may have it, there are as many as
 * torch.arange(0, d, 2) has numbers, and one more column turns.
 */
export const frequenciesOf = (theta: number, columns: number): number[] =>
  Array.from({ length: Math.ceil(columns / 2) }, (_, i) => theta ** ((-2 * i) / columns));

/**
 * YaRN (Peng et al., arXiv 2309.00071): frequencies that turn often within the original length stay, those that turn seldom are divided by
 * the factor, and a ramp over the pairs leads from the ones to the others; and scores grow with the factor.
 */
function yarn(
  parameters: Fields,
  frequencies: readonly number[],
  { factor, theta, maxPositions, truncates }: Omit<Scaled, 'columns'> & { readonly factor: number },
): Rotary {
  const positive = (name: string, missing: number) => parameters.get(name, isPositive, 'a positive number', missing);
  const length = positive('original_max_position_embeddings', maxPositions);
  const columns = 2 * frequencies.length;
  /** The pair that turns so many times within the original length. */
  const pairOf = (turns: number) => (columns * Math.log(length / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const bounds = [pairOf(positive('beta_fast', 32)), pairOf(positive('beta_slow', 1))] as const;
  const first = Math.max(truncates ? Math.floor(bounds[0]) : bounds[0], 0);
  const last = Math.min(truncates ? Math.ceil(bounds[1]) : bounds[1], columns - 1);
  const width = last === first ? 0.001 : last - first;
  const gain = (scale = 1) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const hasGains = parameters.has('mscale') && parameters.has('mscale_all_dim');
  const ofGains = hasGains ? gain(positive('mscale', 1)) / gain(positive('mscale_all_dim', 1)) : gain();
  return {
    frequencies: frequencies.map((frequency, i) => {
      const divided = Math.min(1, Math.max(0, (i - first) / width));
      return (frequency / factor) * divided + frequency * (1 - divided);
    }),
    magnitude: positive('attention_factor', ofGains),
  };
}

interface FlashColumns {
  /** d, of which a fraction of a head makes any number. */
  readonly columns: number;
  readonly headSize: number;
  /** The field of config.json that says d. */
  readonly where: string;
  /** The base where config.json says none. */
  readonly missing: number;
}

/**
 * The rotary settings of classes made after flash attention's: `rotary_emb_base` and `rotary_emb_interleaved`. Throws CheckpointError where
 * more columns turn than a head has.
 */
export function flashRotary(fields: Fields, { columns, headSize, where, missing }: FlashColumns): Rotary {
  const theta = fields.get('rotary_emb_base', isPositive, 'a positive number', missing);
  const frequencies = frequenciesOf(theta, columns);
  const turned = 2 * frequencies.length;
  if (turned > headSize) throw fields.malformed(turned, `at most the ${headSize} columns of a head, in pairs`, where);
  return { frequencies, interleaved: fields.flag('rotary_emb_interleaved', false) };
}

/**
 * NTK scaling at every length (https://kexue.fm/archives/9706), as in the remote code of Alibaba-NLP/new-impl: another theta, and slower by
 * one more factor; or with `mixed_b` each frequency slower by a factor of its own. A factor that does not stretch changes nothing there.
 */
function ntk(
  parameters: Fields,
  { theta, columns, factor }: { theta: number; columns: number; factor: number },
): number[] {
  if (factor <= 1) return frequenciesOf(theta, columns);
  if (!parameters.has('mixed_b')) {
    return frequenciesOf(theta * factor, columns).map(frequency => frequency / factor ** (2 / columns));
  }
  const b = parameters.get('mixed_b', isPositive, 'a positive number');
  const a = Math.log(factor) / (columns / 2) ** b;
  return frequenciesOf(theta, columns).map((frequency, i) => frequency / Math.exp(a * (i + 1) ** b));
}

/**
 * Llama 3.1's scaling: wavelengths beyond the original length over `low_freq_factor` are multiplied by the factor, those below the length
 * over `high_freq_factor` stay, and those between are interpolated.
 */
function llama3(
  parameters: Fields,
  frequencies: readonly number[],
  { factor, maxPositions }: { factor: number; maxPositions: number },
): number[] {
  const low = parameters.get('low_freq_factor', isPositive, 'a positive number');
  const high = parameters.get('high_freq_factor', isPositive, 'a positive number');
  const length = parameters.get('original_max_position_embeddings', isPositive, 'a positive number', maxPositions);
  return frequencies.map(frequency => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < length / high) return frequency;
    if (wavelength > length / low) return frequency / factor;
    const smooth = (length / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}
