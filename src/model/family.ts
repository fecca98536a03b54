import type { Activation } from '../../shaders/activation.ts';
import type { Fields } from '../json.ts';
import type { NormStyle } from '../plan/index.ts';
import type { ChoiceDense, Classifier, EncoderConfig } from './encoder-config.ts';
import type { FamilyHeads } from './head-kind.ts';

/**
 * The largest numbers that are accepted: many times those of any encoder. A larger one is a mistake, and would fill the memory with a
 * plan before the weights could show it. The limit on layers is the lowest, because a plan lists the steps of each.
 */
export const MAX_LAYERS = 256;
export const MAX_COLUMNS = 2 ** 17;
export const MAX_ROWS = 2 ** 26;

/** What a config class says of a summary: see Summary. */
export interface SummaryDefaults {
  readonly type: 'first' | 'last';
  readonly dense: boolean;
  readonly activation?: string;
}

/** Fields that every config.json has, under BERT's names. */
export type FieldName =
  | 'vocab_size'
  | 'hidden_size'
  | 'num_attention_heads'
  | 'num_hidden_layers'
  | 'intermediate_size'
  | 'max_position_embeddings'
  | 'type_vocab_size'
  | 'hidden_act'
  | 'layer_norm_eps';

/** How a family's config.json and encoder differ from BERT's. The names of its tensors are in checkpoint/file/names.ts. */
export interface Family {
  readonly headKinds: FamilyHeads;
  /** The names of fields that are not BERT's; of several, the first that config.json has. */
  readonly fields?: Readonly<Partial<Record<FieldName, string | readonly string[]>>>;
  /** Sizes that config.json may leave out. */
  readonly sizes?: Readonly<Partial<Record<FieldName, number>>>;
  /** Fields for which one value is supported, or some. The first is their default. */
  readonly supported: Readonly<Record<string, unknown>>;
  /** Positions count from the padding's id + 1, as in fairseq's models. 'fixed': the id is 1, whatever config.json says. */
  readonly fairseqPositions?: 'configured' | 'fixed' | undefined;
  /** Default of type_vocab_size; 0: the family has no segments. */
  readonly types: number;
  /** type_vocab_size may be 0, where the family has no segments. */
  readonly mayLackTypes?: true;
  /** Where type_vocab_size is 1, every token is taken for one of that type, also the second text of a pair. */
  readonly mayShareOneType?: true;
  /** Default of head_dim. Default: C / H. */
  readonly headSize?: number;
  /** Default of hidden_act. */
  readonly activation: string;
  /** Python does not read hidden_act: the activation is always the default. */
  readonly fixedActivation?: true;
  /** Default of layer_norm_eps. */
  readonly eps: number;
  /** Python does not read layer_norm_eps: it is always the default. */
  readonly fixedEps?: true;
  /** What its norms have beside eps. Default: LayerNorm with a bias. */
  readonly norm?: Omit<NormStyle, 'eps'>;
  /** When a linear leads from E to C: where they differ, or always (ALBERT). */
  readonly projection?: 'if needed' | 'always';
  /** Layers share weights in groups, each of which may have several. */
  readonly sharedLayers?: true;
  /** All layers add one bias by distance to their scores. */
  readonly relativeBias?: true;
  /** There may be a task table. */
  readonly tasks?: true;
  /** See EncoderConfig. */
  readonly classifier?: Partial<Classifier>;
  /** Default: the dense layer of `classifier`. */
  readonly choiceDense?: ChoiceDense;
  /** Choices are scored by a summary of their own: what it is where config.json says nothing. */
  readonly summary?: SummaryDefaults;
  /** Default: the encoder's activation. */
  readonly maskedActivation?: Activation | undefined;
  /** What the names of the tensors tell, where config.json does not. */
  readonly byTensors?: (names: readonly string[]) => Partial<EncoderConfig>;
  /** What else differs, read from config.json. */
  readonly variant?: (fields: Fields, config: EncoderConfig) => Partial<EncoderConfig>;
}

/** By the spelling of `hidden_act`. gelu_new and gelu_fast are one function: their constants are the same float32. */
export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
};

/**
 * The rows of the word table where a class rounds `vocab_size` up to a multiple of `pad_vocab_size_multiple`: those made after flash
 * attention's BERT.
 */
export function paddedVocabulary(fields: Fields, vocabSize: number): number {
  const multiple = fields.integer('pad_vocab_size_multiple', 1, { min: 1, max: MAX_COLUMNS });
  return Math.ceil(vocabSize / multiple) * multiple;
}

/** No decoder computes its keys without those to come. */
export const ENCODER = { is_decoder: false, add_cross_attention: false } as const;
