import { Fields } from '../json.ts';
import { CONFIG_FILE } from './config-file.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { paddingRows } from './padding.ts';

/** Gives number `at` of a new tensor, which it may draw. */
export type Draw = (random: RandomNumbers, at: number) => number;

export interface RandomNumbers {
  /** With mean 0 and standard deviation 1. */
  normal(): number;
  /** A random word, 0 to 2^32 - 1. */
  word(): number;
}

/** What a new tensor begins with. */
export interface InitialValues {
  /** Of every number, row by row. */
  readonly draw: Draw;
  /** A row that is zero. */
  readonly zeroRow?: number | undefined;
}

const isRange = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1e3;

/**
 * What a new tensor of a model begins with, as in Python: `_init_weights` of transformers 5.24 and of the families' own code. Matrices
 * and tables are normal with the deviation `initializer_range`, the row of padding zero; biases are zero, and norms do nothing.
 * Throws CheckpointError where config.json has a range that is none.
 * @param canonical its canonical name: see tensorFinder
 */
export function initialValues(config: EncoderConfig, canonical: string, shape: readonly number[]): InitialValues {
  const { modelType, norm, raw } = config;
  if (canonical.endsWith('.bias')) return { draw: () => 0 };
  if (/LayerNorm\.weight$|layer_norm_[qk]\.weight$/.test(canonical)) return { draw: () => (norm.unitOffset ? 0 : 1) };
  const computed = storedPositions(config, canonical, shape);
  if (computed) return { draw: (_, at) => computed(at) };
  const fields = new Fields(raw, '', CONFIG_FILE);
  const range = (name: string) => fields.get(name, isRange, 'a number from 0 to 1000', 0.02);
  const table = /^embeddings\.(word|position)_embeddings\.weight$/.exec(canonical)?.[1];
  if (modelType === 'neobert' && !canonical.startsWith('classifier')) {
    const limit = range(table ? 'embedding_init_range' : 'decoder_init_range');
    return { draw: ({ word }) => limit * ((2 * word() + 1) / 2 ** 32 - 1) };
  }
  if (modelType === 'modernbert') {
    const deviation = deviationOfModernBert(config, canonical, range('initializer_range'));
    const cutoff =
      raw.initializer_cutoff_factor === null
        ? 3
        : fields.get('initializer_cutoff_factor', isCutoff, 'a number above 0.1', 2);
    return { draw: ({ normal }) => deviation * within(cutoff, normal) };
  }
  // A range of 0 is none, as in Python.
  const deviation = range(modelType === 'neobert' ? 'classifier_init_range' : 'initializer_range') || 0.02;
  const padding = paddingRows(config);
  const zeroRow = table === 'word' ? padding.words : table === 'position' ? padding.positions : undefined;
  return { draw: ({ normal }) => deviation * normal(), zeroRow };
}

/** A number of a normal distribution whose ends are cut off. */
function within(cutoff: number, normal: () => number): number {
  for (;;) {
    const number = normal();
    if (Math.abs(number) <= cutoff) return number;
  }
}

/** With a lower one nearly every number would have to be drawn again. */
const isCutoff = (value: unknown): value is number => typeof value === 'number' && value > 0.1;

/** What is added to the hidden states is smaller the more layers there are. */
function deviationOfModernBert({ layers, hiddenSize }: EncoderConfig, canonical: string, range: number): number {
  if (canonical === 'classifier.out_proj.weight') return 1 / Math.sqrt(hiddenSize);
  return /\boutput\.dense|^cls\.|^classifier\./.test(canonical) ? range / Math.sqrt(2 * layers) : range;
}

/**
 * The numbers of positions that a checkpoint keeps though nobody trains them: ESM's frequencies, or RoFormer's table, in which the sines
 * are the first half of a row. DistilBERT may begin with a table, too, in which sines and cosines take turns.
 */
function storedPositions(
  { attentions, raw }: EncoderConfig,
  canonical: string,
  [, columns]: readonly number[],
): ((at: number) => number) | undefined {
  const rotary = attentions[0]?.rotary;
  const isRotary = rotary?.stored?.tensor === canonical;
  if (isRotary && columns === undefined) return at => rotary.frequencies[at]!;
  if (!isRotary && !(canonical === 'embeddings.position_embeddings.weight' && raw.sinusoidal_pos_embds === true)) {
    return undefined;
  }
  const half = Math.ceil(columns! / 2);
  return at => {
    const column = at % columns!;
    const [i, isCosine] = isRotary ? [column % half, column >= half] : [column >> 1, column % 2 === 1];
    const angle = Math.floor(at / columns!) / 10_000 ** ((2 * i) / columns!);
    return isCosine ? Math.cos(angle) : Math.sin(angle);
  };
}
