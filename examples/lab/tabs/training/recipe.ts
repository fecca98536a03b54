import type { Trainable } from 'webgpu-bert/train';
import { countFrom } from '../../shell/format.ts';

/** What of a model is trained, and how: what a tab offers, and what a person has chosen of it. */

export const TAB = 'training';

export interface PartChoice {
  readonly title: string;
  readonly note: string;
  readonly trainable: Trainable;
  /** What has shown itself to be enough for a few dozen lines, with an encoder of six layers. */
  readonly epochs: number;
  readonly rate: number;
}

/** What is offered. */
export interface Recipe {
  /** By their names in the address. */
  readonly parts: Readonly<Record<string, PartChoice>>;
  readonly usualPart: string;
  readonly batch: number;
}

export interface Settings {
  readonly part: string;
  readonly trainable: Trainable;
  readonly epochs: number;
  readonly rate: number;
  readonly batch: number;
  /** The percentage of the examples that are held out. */
  readonly held: number;
}

export const EPOCHS = [1, 2, 4, 8, 10, 15, 20, 30, 50] as const;
export const RATES = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2] as const;
export const BATCHES = [4, 8, 16, 32] as const;
export const SHARES = [0, 10, 20, 30, 50] as const;

export function settingsOf(address: URLSearchParams, recipe: Recipe): Settings {
  const named = address.get('part') ?? '';
  const part = Object.hasOwn(recipe.parts, named) ? named : recipe.usualPart;
  const usual = recipe.parts[part]!;
  const rate = Number(address.get('rate'));
  const held = Number(address.get('held') ?? 20);
  return {
    part,
    trainable: usual.trainable,
    epochs: countFrom(address.get('epochs'), usual.epochs, 1000),
    rate: rate > 0 && rate <= 1 ? rate : usual.rate,
    batch: countFrom(address.get('batch'), recipe.batch, 256),
    held: SHARES.find(share => share === held) ?? 20,
  };
}

/** In another way to use the tab other numbers are usual. */
export const NO_SETTINGS = { part: undefined, epochs: undefined, rate: undefined, batch: undefined, held: undefined };
