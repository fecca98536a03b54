import { CheckpointError } from '../../errors.ts';
import type { Block, Spelling } from './spelling-parts.ts';
import { SPELLINGS } from './spellings.ts';
import type { Checkpoint, LowRankUpdate, TensorInfo } from './types.ts';
import type { TensorView } from './view.ts';

const WORD_TABLE = 'embeddings.word_embeddings.weight';
const DECODER = 'cls.predictions.decoder.weight';

/**
 * Tensors that every encoder has; they tell the prefix of all names of the encoder in a file: `bert.`, `roberta.`. The first one is
 * never tied to another tensor, so files have it under its own name; the others serve files that lack it.
 */
const LANDMARKS = ['encoder.layer.0.attention.self.query.weight', WORD_TABLE, 'embeddings.position_embeddings.weight'];

/** The names that one tensor may have: checkpoints converted from TensorFlow call the vectors of a norm gamma and beta. */
const spellings = (name: string, tiedDecoder = true): string[] => [
  // Python computes with a decoder's own bias where nothing ties it to the other.
  ...(tiedDecoder ? [name] : [ofDecoder(name), name]),
  name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
  // The bias of the vocabulary has two names, of which newer files keep one or the other.
  ofDecoder(name),
  // PyTorch's name of a tensor that something is added to: see low-rank.ts.
  name.replace(/\.weight$/, ORIGINAL),
  // Before transformers 5 every layer of ESM had its copy; transformers 5 writes an asterisk for the number.
  name.replace(/^rotary_embeddings\.inv_freq$/, 'encoder.layer.0.attention.self.rotary_embeddings.inv_freq'),
  name.replace(/^rotary_embeddings\.inv_freq$/, 'encoder.layer.*.attention.self.rotary_embeddings.inv_freq'),
];
const ofDecoder = (name: string): string => name.replace(/\b(predictions|lm_head)\.bias$/, '$1.decoder.bias');
const ORIGINAL = '.parametrizations.weight.original';
const NO_TASKS = 'Leave default_task out for the weights that all tasks share.';

/** What the finder needs to know of a model. */
export interface NamedModel {
  readonly modelType: string;
  readonly tiedDecoder: boolean;
  /** D */
  readonly headSize: number;
  /** Layers in each group of layers of the file. Default: 1. */
  readonly layersPerGroup?: number | undefined;
  /** What checkpoints of the model have for tasks, and which task is chosen. Default: nothing. */
  readonly lora?:
    | {
        readonly tasks: readonly string[];
        readonly rank: number;
        readonly scale: number;
        readonly task: number | undefined;
      }
    | undefined;
}

/**
 * Returns a function from a canonical name to the tensor of the checkpoint, or those rows of one that stand for it, or undefined.
 * Canonical names are those of BertModel; for layers with norms before them those of RobertaPreLayerNormModel; for heads those of
 * BertForMaskedLM, RobertaForSequenceClassification and ElectraForPreTraining. A gated layer is act(intermediate.dense x) times
 * intermediate.gate x.
 *
 * A file may keep one tensor for several names, as safetensors.torch.save_model does; its metadata lists them. Without such metadata,
 * where the config ties the word table and the masked-LM decoder, either stands in for the other.
 */
export function tensorFinder(
  { tensors, leftOut }: Pick<Checkpoint, 'tensors' | 'leftOut'>,
  { modelType, tiedDecoder, headSize, layersPerGroup = 1, lora }: NamedModel,
): (canonical: string) => TensorView | undefined {
  const names = [...tensors.keys(), ...leftOut.keys()];
  if (lora?.task !== undefined && !names.some(name => name.endsWith(ORIGINAL))) {
    throw new CheckpointError({ what: 'the checkpoint has no weights for tasks', next: NO_TASKS });
  }
  const spelling = spellingOf(names, [SPELLINGS[modelType] ?? {}].flat());
  const prefixes = prefixesOf(names, landmarksOf(spelling));
  /** What the chosen task adds to a tensor of the file. */
  const updateOf = (canonical: string, { name, shape, file }: TensorInfo): LowRankUpdate | undefined => {
    if (lora?.task === undefined || !name.endsWith(ORIGINAL)) return undefined;
    // Every table has factors, but those of the positions are not used: XLMRobertaEmbeddings of jinaai/xlm-roberta-flash-implementation.
    if (canonical.startsWith('embeddings.position_embeddings.')) return undefined;
    const factor = (letter: string): TensorInfo => {
      const found = name.replace(/original$/, `0.lora_${letter}`);
      const tensor = tensors.get(found);
      if (tensor) return tensor;
      throw new CheckpointError({
        what: `the checkpoint lacks the tensor "${found}"`,
        next: NO_TASKS,
        file,
        tensor: found,
      });
    };
    // Of an embedding, whose matrix stands the other way, the first factor is A.
    const [left, right] = canonical.startsWith('embeddings.') ? ['A', 'B'] : ['B', 'A'];
    const { task, tasks, rank, scale } = lora;
    return { left: factor(left!), right: factor(right!), matrix: shape, task, tasks: tasks.length, rank, scale };
  };
  const find = (canonical: string): TensorView | undefined => {
    const { name: familyName, block } = familyNameOf(canonical, spelling);
    for (const name of spellings(inGroup(familyName, layersPerGroup), tiedDecoder)) {
      for (const prefix of prefixes) {
        const full = prefix + name;
        const tensor = tensors.get(full) ?? tensors.get(leftOut.get(full) ?? full);
        if (!tensor) continue;
        const view = block ? blockOf(tensor, block, headSize) : tensor;
        const update = updateOf(canonical, tensor);
        return update ? { ...view, update } : view;
      }
    }
    return undefined;
  };
  return canonical => {
    const tensor = find(canonical);
    if (tensor || !tiedDecoder) return tensor;
    if (canonical === WORD_TABLE) return find(DECODER);
    return canonical === DECODER ? find(WORD_TABLE) : undefined;
  };
}

/** Of a model that is in no file: which spelling of its family its tensors are to have, and the prefixes of the encoder's and of the heads'. */
export interface NewNames {
  readonly spelling: number;
  readonly encoder: string;
  readonly heads: string;
}

/** What a file calls a tensor of this canonical name, and how many such tensors are the blocks of it. */
export interface NamedTensor {
  readonly name: string;
  /** The name without the prefix, which depends on what the file was saved from. */
  readonly ownName: string;
  readonly blocks: number;
}

/**
 * Returns a function from a canonical name to the name that a tensor is to have in a file that lacks it: what Python calls it there.
 * @param names Default: those of the tensors that the file has
 */
export function newTensorNames(
  { tensors, leftOut }: Pick<Checkpoint, 'tensors' | 'leftOut'>,
  { modelType, tiedDecoder, layersPerGroup = 1 }: NamedModel,
  names?: NewNames,
): (canonical: string) => NamedTensor {
  const candidates = [SPELLINGS[modelType] ?? {}].flat();
  const existing = [...tensors.keys(), ...leftOut.keys()];
  const spelling = names ? candidates[names.spelling]! : spellingOf(existing, candidates);
  const [encoder = '', heads = ''] = names ? [names.encoder, names.heads] : prefixesOf(existing, landmarksOf(spelling));
  return canonical => {
    const { name, block } = familyNameOf(canonical, spelling);
    const ownName = inGroup(tiedDecoder ? name : ofDecoder(name), layersPerGroup);
    // DPR's projection stands beside its encoder.
    const isInEncoder = /^(embeddings|encoder|pooler|rotary)/.test(canonical) && !name.startsWith('encode_proj');
    return { name: (isInEncoder ? encoder : heads) + ownName, ownName, blocks: block?.of ?? 1 };
  };
}

/** The family's name for a canonical one, and the block of that tensor where the file keeps several in one. */
function familyNameOf(canonical: string, spelling: Spelling): { name: string; block: Block | undefined } {
  let name = canonical;
  let block: Block | undefined;
  for (const [part, other] of Object.entries(spelling)) {
    if (!name.includes(part)) continue;
    if (typeof other === 'string') name = name.replace(part, other);
    else {
      name = name.replace(part, other.name);
      block = other;
    }
  }
  return { name, block };
}

/** Layers are counted from group to group: where a group has several, layer n is number n % size of group n / size. */
const inGroup = (name: string, size: number): string =>
  size === 1
    ? name
    : name.replace(
        /^(encoder\.albert_layer_groups)\.(\d+)\.albert_layers\.0\./,
        (_, groups: string, layer: string) =>
          `${groups}.${Math.floor(Number(layer) / size)}.albert_layers.${Number(layer) % size}.`,
      );

/** The rows of a block. Where the rows of the tensor cannot be cut so, the whole tensor, whose shape is then found to be wrong. */
function blockOf(tensor: TensorInfo, { block, of, perHead }: Block, headSize: number): TensorView {
  const [rows = 0, ...columns] = tensor.shape;
  if (rows % (perHead ? of * headSize : of) !== 0) return tensor;
  const count = rows / of;
  const run = perHead ? headSize : count;
  return { ...tensor, shape: [count, ...columns], rows: { first: block * run, run, step: of * run } };
}

const landmarksOf = (spelling: Spelling): string[] =>
  LANDMARKS.flatMap(name => [...new Set(spellings(familyNameOf(name, spelling).name))]);

/** Tensors of every encoder whose layers are complete: spellings of a family differ in the name of one of them. */
const SPELLED = ['attention.self.query', 'intermediate.dense', 'output.dense'].map(
  name => `encoder.layer.0.${name}.weight`,
);

/** The spelling of a file: the one by which it has most of these tensors; of several, the first. */
function spellingOf(names: readonly string[], candidates: readonly Spelling[]): Spelling {
  const isThere = (landmark: string) => names.some(name => name === landmark || name.endsWith(`.${landmark}`));
  const isSpelled = (name: string, spelling: Spelling) => spellings(familyNameOf(name, spelling).name).some(isThere);
  const count = (spelling: Spelling) => SPELLED.filter(name => isSpelled(name, spelling)).length;
  const most = Math.max(...candidates.map(count));
  return candidates.find(candidate => count(candidate) === most)!;
}

/**
 * The prefixes that a name may have in the file: that of the encoder, and those of the modules around it. For `model.bert.` they are
 * `model.bert.`, `model.` (where the heads are) and none.
 */
function prefixesOf(names: readonly string[], landmarks: readonly string[]): string[] {
  for (const landmark of landmarks) {
    // Where a file has several encoders, the least nested one counts.
    const [nearest] = names
      .filter(name => name === landmark || name.endsWith(`.${landmark}`))
      .sort((a, b) => a.length - b.length);
    if (nearest === undefined) continue;
    const parts = nearest.slice(0, -landmark.length).split('.').slice(0, -1);
    return [...parts.map((_, i) => `${parts.slice(0, parts.length - i).join('.')}.`), ''];
  }
  return [''];
}
