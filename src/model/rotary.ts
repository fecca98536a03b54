import { oneOf } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';
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
  /** The part of a head that turns, where config.json says none. Default: 1. */
  readonly fraction?: number;
}

const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0 && value < 1e12;

/**
 * Reads the rotary settings of config.json in either spelling: `rope_parameters` (transformers 5), one object or one for each kind of
 * layer; or `rope_theta` and `rope_scaling`, of which `rope_parameters` has precedence. Throws UnsupportedError for a type of scaling
 * that is not built. Source: transformers' modeling_rope_utils.py.
 */
export function rotaryOf(fields: Fields, settings: RotarySettings): Rotary {
  const { headSize, missing, fraction = 1 } = settings;
  const parameters = parametersOf(fields, settings);
  const theta = parameters.get('rope_theta', isPositive, 'a positive number', missing);
  const part = parameters.get('partial_rotary_factor', isPositive, 'a positive number', fraction);
  const columns = Math.min(headSize, 2 * Math.floor((headSize * part) / 2));
  return { frequencies: scaledFrequencies(parameters, theta, columns) };
}

/** The settings that apply: those of `rope_parameters`, with the older fields where it has none. */
function parametersOf(fields: Fields, { kind, theta = 'rope_theta' }: RotarySettings): Fields {
  const all = isRecord(fields.json.rope_parameters) ? fields.json.rope_parameters : {};
  const ofKind = kind !== undefined && isRecord(all[kind]) ? all[kind] : {};
  const older = isRecord(fields.json.rope_scaling) ? fields.json.rope_scaling : {};
  const { type, ...scaling } = older;
  const older5: Json = { ...(type !== undefined && { rope_type: type }), ...scaling };
  const merged: Json = { rope_theta: fields.json[theta], partial_rotary_factor: fields.json.partial_rotary_factor };
  for (const source of [older5, all, ofKind]) {
    for (const [name, value] of Object.entries(source)) if ((value ?? null) !== null) merged[name] = value;
  }
  return new Fields(merged, '', { ...CONFIG_FILE });
}

/** The frequencies of d columns: base^(-2 i / d), d / 2 numbers. */
export const rotaryFrequencies = (base: number, columns: number): number[] =>
  Array.from({ length: Math.floor(columns / 2) }, (_, i) => base ** ((-2 * i) / columns));

/** The frequencies of d columns, theta^(-2 i / d), as the type of scaling changes them. */
function scaledFrequencies(parameters: Fields, theta: number, columns: number): number[] {
  const factor = () => parameters.get('factor', isPositive, 'a positive number');
  const type = oneOf('the scaling of rotary positions', parameters.text('rope_type', 'default'), TYPES);
  switch (type) {
    case 'default':
      return rotaryFrequencies(theta, columns);
    case 'linear':
      return rotaryFrequencies(theta, columns).map(frequency => frequency / factor());
    default:
      return type satisfies never;
  }
}

const TYPES = ['default', 'linear'] as const;
