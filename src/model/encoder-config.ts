import type { Activation } from '../../shaders/activation.ts';
import type { NormStyle, TokenDropout } from '../plan/index.ts';
import type { Disentangled } from './disentangled.ts';
import type { FamilyHeads } from './head-kind.ts';
import type { Rotary } from './rotary.ts';

/** config.json, checked, under one set of names for all families. */
export interface EncoderConfig {
  readonly modelType: string;
  readonly headKinds: FamilyHeads;
  readonly vocabSize: number;
  /** C */
  readonly hiddenSize: number;
  readonly layers: number;
  /** H */
  readonly heads: number;
  /** G: heads of k and v. H, but for families whose queries share them. */
  readonly keyHeads: number;
  /** D. H D = C, but for families that say otherwise. */
  readonly headSize: number;
  /** F */
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** Of every norm of the encoder. */
  readonly norm: NormStyle;
  /**
   * Where the norms of a layer stand: after the sums, before the parts that are added, or before and after these parts; 'bottleneck': as
   * `bottleneck` says.
   */
  readonly layerOrder: 'post-norm' | 'pre-norm' | 'sandwich' | 'bottleneck';
  readonly bottleneck: Bottleneck | undefined;
  /** Columns of what the parts of a layer give: C, but for layers with a bottleneck. */
  readonly layerSize: number;
  /** The linears of a layer as convolutions over single tokens, each with so many groups (SqueezeBERT). */
  readonly groups: Groups | undefined;
  /** The linears of the feed-forward layer have a matrix for each of so many groups (ConvBERT). Undefined: one for all columns. */
  readonly groupMatrices: number | undefined;
  /** Heads of a convolution stand beside those of the attention, as many of the same size (ConvBERT): see span-convolution.ts. */
  readonly spanConvolution: { readonly width: number } | undefined;
  /** Pre-norm: whether layer 0 has a norm before its attention. */
  readonly hasFirstAttentionNorm: boolean;
  /** Post-norm: whether a second norm stands behind the attention (code models of JinaBERT). */
  readonly hasSecondAttentionNorm: boolean;
  /** The feed-forward layer is gated: act(x W1) (x W2). */
  readonly isGated: boolean;
  /** Which linears of a layer have a bias. */
  readonly biases: {
    /** Of all three, or of each. */
    readonly qkv: boolean | readonly [query: boolean, key: boolean, value: boolean];
    readonly attention: boolean;
    readonly intermediate: boolean;
    readonly output: boolean;
  };
  /** What one row of the norms of q and of k is: a head, or all heads. Undefined: they are not normalised. */
  readonly queryKeyNorm: 'head' | 'row' | undefined;
  /** What the scores are multiplied by. */
  readonly attentionScale: number;
  /** What Python gives as attentions is what the softmax is taken of (SqueezeBERT). */
  readonly attentionsAreScores: boolean;
  /** What the attention of every layer looks at. */
  readonly attentions: readonly {
    /** The farthest key that a query sees. Undefined: all keys of the sequence. */
    readonly window?: number;
    readonly rotary?: Rotary;
    /** H numbers: see ScoreBias. */
    readonly slopes?: readonly number[];
  }[];
  /** DeBERTa's scores by distance. */
  readonly disentangled: Disentangled | undefined;
  /** DeBERTa: a convolution over the embeddings is added to the result of layer 0. */
  readonly convolution: { readonly width: number; readonly activation: Activation } | undefined;
  /** What the embeddings are multiplied by. */
  readonly embeddingFactor: number;
  /** The embeddings are scaled by the number of masks: see EmbedOp. */
  readonly tokenDropout: TokenDropout | undefined;
  readonly hasEmbeddingNorm: boolean;
  /** The norm of the embeddings, where it is not `norm`. */
  readonly embeddingNorm?: NormStyle | undefined;
  readonly hasPositionTable: boolean;
  /** The largest number of tokens of a sequence; of a model without any table of positions, more than there can be. */
  readonly maxPositions: number;
  /** The row of the position table for the first token. RoBERTa's table begins with rows up to that of the padding. */
  readonly positionOffset: number;
  /** 0: the family has no segments. */
  readonly typeVocabSize: number;
  /** Every token has the only row of the table of segments, whatever its type is said to be. */
  readonly sharesOneType: boolean;
  /** For fairseq's families, which count positions without padding: the id of the padding, -1 where no token is padding. Else 0. */
  readonly padTokenId: number;
  /** E: columns of the embeddings. */
  readonly embeddingSize: number;
  /** Whether a linear leads from E to C. */
  readonly projectsEmbedding: boolean;
  /** The norm of the embeddings stands after that linear, which then has no bias. */
  readonly normsProjection: boolean;
  /** The linear reads words alone, and positions and segments, of C columns, are added to its result (MobileBERT). */
  readonly projectsWords: boolean;
  /** With projectsWords: it reads the words of the next token, the token and the one before it. */
  readonly hasTrigrams: boolean;
  /** Rows of ERNIE's task table, whose row 0 is added to every token; 0: there is none. */
  readonly taskVocabSize: number;
  /** Layers that the checkpoint keeps in a group, which runs as a whole, one after the other: 1, but for some of ALBERT. */
  readonly layersPerGroup: number;
  /**
   * The number of the layer of the checkpoint whose weights each layer has: 0, 1, 2, ..., with repetitions where layers share (ALBERT). It
   * goes on from group to group.
   */
  readonly layerWeights: readonly number[];
  /** Rows of MPNet's table of relative positions, which all layers share; the first 32 are read. 0: there is none. */
  readonly relativeRows: number;
  /** Whether the masked-LM decoder is the word table. */
  readonly tiedDecoder: boolean;
  /** Columns of the masked-LM decoder: E, but for RemBERT. */
  readonly decoderSize: number;
  /** Whether a model without a head may have a pooler. */
  readonly mayPool: boolean;
  /** Whether pooler_output is the first token through a dense layer (`pooler.dense`), or the first token itself (DPR). */
  readonly hasPoolerDense: boolean;
  /** Columns of pooler_output. */
  readonly poolerSize: number;
  readonly poolerActivation: Activation | undefined;
  readonly classifier: Classifier;
  readonly choiceDense: ChoiceDense;
  /**
   * Choices are scored by a summary of their own, not through choiceDense. Read for that head alone, because what config.json says of it
   * keeps no model from being run without; throws UnsupportedError.
   */
  readonly summary: (() => Summary) | undefined;
  /** The masked-LM head. */
  readonly masked: {
    /** Whether a dense layer, its activation and a norm stand before the decoder. */
    readonly transform: boolean;
    readonly activation: Activation;
    /** Whether the dense layer has a bias. */
    readonly bias: boolean;
    readonly decoderBias: boolean;
    /** Its norm, where it is not the encoder's. */
    readonly norm?: NormStyle | undefined;
    /** The tensor [decoderSize - E, V] with the further columns of the decoder's rows, of which the decoder itself has E (MobileBERT). */
    readonly rest?: string | undefined;
    /** The names of its tensors, where a checkpoint may have one of several heads. Default: BERT's. */
    readonly names?: { readonly transform: string; readonly bias: string };
    /** The head that such a checkpoint may have in place of this one: one of its tensors, and the setting of config.json for it. */
    readonly other?: { readonly tensor: string; readonly setting: string };
  };
  /** The updates of the weights that the checkpoint has for tasks. */
  readonly lora: Lora | undefined;
  /** The names of the classes by id; undefined for a class without a name; empty where there are no classes. */
  readonly labels: readonly (string | undefined)[];
  readonly problemType: string | undefined;
  /** For a model without layers, whose tokens have the rows of a table. */
  readonly static?: StaticTable | undefined;
  /** The whole config.json, for what a task needs beyond the encoder. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** MobileBERT's layers: see bottleneck-layers.ts. */
export interface Bottleneck {
  /** Whether a layer computes in other columns than hidden states have. */
  readonly isNarrow: boolean;
  /** What q and k are computed from: the hidden state, or one of the bottlenecks. */
  readonly queries: 'hidden' | 'input' | 'attention';
  /** The same of v. */
  readonly values: 'hidden' | 'input';
  readonly feedForwards: number;
  /** The norm behind the last feed-forward layer. */
  readonly outputNorm: NormStyle;
}

/** The groups of each linear of a layer. */
export type Groups = Readonly<Record<'query' | 'key' | 'value' | 'attention' | 'intermediate' | 'output', number>>;

/** How a sequence, or a token, is classified: by a dense layer with an activation, a norm perhaps, and a linear. */
export interface Classifier {
  /** The dense layer is the pooler's (`pooler.dense`), one of the head (`classifier.dense`), or there is none. */
  readonly dense: 'pooler' | 'head' | 'none';
  readonly activation: Activation;
  /** Whether the head's dense layer has a bias. */
  readonly bias: boolean;
  /** Whether the linear has one. */
  readonly outputBias: boolean;
  /** A norm follows the activation (`classifier.LayerNorm`). */
  readonly norm: boolean;
  readonly pooling: 'cls' | 'mean' | 'last';
  /** Tokens are pooled before the dense layer, or after it. */
  readonly pools: 'first' | 'last';
  /** Tokens and answers are classified through the dense layer too. */
  readonly ofTokens: boolean;
}

/** How the tokens of a choice become one row: transformers' SequenceSummary. */
export interface Summary {
  readonly pooling: Classifier['pooling'];
  /** Whether a dense layer (`sequence_summary.summary`) follows. */
  readonly dense: boolean;
  /** Of the dense layer. */
  readonly activation: Activation | undefined;
}

/** The dense layer before the score of a choice: the classifier's or the pooler's. */
export type ChoiceDense = 'classifier' | 'pooler';
/**
 * A model without layers: the hidden state of a token is a row of a table, times its weight. model2vec (github.com/MinishLab/model2vec)
 * and sentence-transformers' StaticEmbedding. V token ids, R rows, C columns.
 */
export interface StaticTable {
  /** Whose rules hold: which tokens of a text count, and how many. */
  readonly library: 'model2vec' | 'sentence-transformers';
  /** R */
  readonly rows: number;
  /** Whether a token has its row by the tensor `mapping` [V]. Else its id is the row. */
  readonly hasMapping: boolean;
  /** Whether a row is multiplied by the token's entry of `weights` [V]. */
  readonly hasWeights: boolean;
}

/** What a checkpoint can add to its weights for a task (LoRA: Hu et al., arXiv 2106.09685). */
export interface Lora {
  /** The names of the tasks. */
  readonly tasks: readonly string[];
  readonly rank: number;
  /** What the product of the factors is multiplied by. */
  readonly scale: number;
  /** The index of the task whose update is added. Undefined: the weights stay as they are. */
  readonly task: number | undefined;
}
