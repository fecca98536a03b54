import type { CallableModel, ModelLocation, PreTrainedTokenizer, PretrainedOptions } from 'webgpu-bert';
import type { AttentionInput, AttentionSource } from './source.ts';
import type { AttentionToken, Guess } from './types.ts';

/** A loaded model as a source of attention. */
export interface AttentionModel {
  readonly source: AttentionSource;
  dispose(): Promise<void>;
}

type Library = Pick<typeof import('webgpu-bert'), 'AutoModel' | 'AutoModelForMaskedLM' | 'AutoTokenizer'> & {
  readonly CheckpointError: typeof import('webgpu-bert').CheckpointError;
  readonly UnsupportedError: typeof import('webgpu-bert').UnsupportedError;
};

const GUESSES = 5;

/**
 * Loads a model for its attention: with its masked-LM head where the checkpoint has one, so that masked tokens can be guessed.
 * Throws what loading throws.
 */
export async function loadAttentionModel(
  library: Library,
  place: ModelLocation,
  { name, ...options }: PretrainedOptions & { name: string },
): Promise<AttentionModel> {
  const { dtype: _, device: __, ...tokenizerOptions } = options;
  const loadingTokenizer = library.AutoTokenizer.from_pretrained(place, tokenizerOptions);
  // The model's error says more; it is the one that is awaited first.
  loadingTokenizer.catch(() => undefined);
  const model = await loadModel(library, place, options);
  try {
    const tokenizer = await loadingTokenizer;
    return { source: await sourceOf(name, model, tokenizer), dispose: () => model.dispose() };
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

async function loadModel(library: Library, place: ModelLocation, options: PretrainedOptions): Promise<CallableModel> {
  try {
    return (await library.AutoModelForMaskedLM.from_pretrained(place, options)) as CallableModel;
  } catch (error) {
    // The header of the weights has told that there is no such head, or the family has none: nothing of them has been read.
    if (!(error instanceof library.CheckpointError || error instanceof library.UnsupportedError)) throw error;
    return (await library.AutoModel.from_pretrained(place, options)) as CallableModel;
  }
}

/** What the attentions of a model are. */
interface AttentionShape {
  readonly layers: number;
  readonly heads: number;
  /** Scores before the softmax stand in the place of probabilities, as in Python (SqueezeBERT). */
  readonly areScores: boolean;
}

/**
 * Runs the model on one token, which tells more than config.json: ConvBERT's attention has fewer heads than are named there, and groups of
 * ALBERT have several layers. A token alone has probability 1; a score is another number.
 */
async function attentionShape(name: string, model: CallableModel): Promise<AttentionShape> {
  const { attentions = [] } = await model({ input_ids: [[0]], attention_mask: [[1]] }, { output_attentions: true });
  const heads = attentions[0]?.dims[1];
  if (!heads) throw new Error(`${name} has no attention: its model has no layers, or no heads.`);
  const areScores = attentions.some(({ data }) => data.some(number => number !== 1));
  return { layers: attentions.length, heads, areScores };
}

/** The softmax of every row of L numbers, in place. */
function softmaxRows(map: Float32Array, L: number): Float32Array {
  for (let start = 0; start < map.length; start += L) {
    const row = map.subarray(start, start + L);
    let largest = Number.NEGATIVE_INFINITY;
    for (const score of row) if (score > largest) largest = score;
    let sum = 0;
    for (let i = 0; i < L; i++) sum += row[i] = Math.exp(row[i]! - largest);
    for (let i = 0; i < L; i++) row[i]! /= sum;
  }
  return map;
}

async function sourceOf(name: string, model: CallableModel, tokenizer: PreTrainedTokenizer): Promise<AttentionSource> {
  const { layers, heads, areScores } = await attentionShape(name, model);
  return {
    name,
    layers,
    heads,
    maskId: tokenizer.mask_token_id,
    tokenize: (text, pair, mostTokens) => tokenize(tokenizer, text, pair, mostTokens),
    async run(input, wanted, { guess, signal }) {
      const { ids, typeIds } = input;
      const rows = { input_ids: [[...ids]], attention_mask: [ids.map(() => 1)] };
      const inputs = tokenizer.return_token_type_ids ? { ...rows, token_type_ids: [[...typeIds]] } : rows;
      const { attentions, logits } = await model(inputs, { output_attentions: [...wanted], signal });
      const guesses = new Map<number, readonly Guess[]>();
      if (logits) for (const i of guess) guesses.set(i, likeliest(logits.data, i, logits.dims.at(-1)!, tokenizer));
      const maps = attentions!.map(({ data }) => (areScores ? softmaxRows(data, ids.length) : data));
      return { maps, guesses };
    },
  };
}

function tokenize(
  tokenizer: PreTrainedTokenizer,
  text: string,
  pair: string | undefined,
  mostTokens: number,
): AttentionInput {
  const maxLength = Math.min(mostTokens, tokenizer.model_max_length);
  const whole = tokenizer.text.encode(text, { pair: pair || undefined });
  const encoding =
    whole.ids.length > maxLength ? tokenizer.text.encode(text, { pair: pair || undefined, maxLength }) : whole;
  const { ids, typeIds, offsets, sequenceIds, wordIds } = encoding;
  const texts = [text, pair ?? ''];
  /** Words are numbered in each text from 0; here in the sequence. */
  const wordKeys = wordIds.map((word, i) => (word === null ? null : `${sequenceIds[i]} ${word}`));
  const numbers = new Map([...new Set(wordKeys.filter(key => key !== null))].map((key, number) => [key, number]));
  const wordText = (i: number) => {
    const [first, last] = [wordKeys.indexOf(wordKeys[i]!), wordKeys.lastIndexOf(wordKeys[i]!)];
    return texts[sequenceIds[i]!]!.slice(offsets[first]![0], offsets[last]![1]).trim().toLowerCase();
  };
  const tokens = ids.map((id, i): AttentionToken => {
    const key = wordKeys[i];
    const segment = sequenceIds[i] ?? null;
    if (key == null || segment === null) {
      const isStart = id === (tokenizer.cls_token_id ?? tokenizer.bos_token_id);
      const special = isStart ? 'start' : 'end';
      return { text: encoding.tokens[i]!, segment: null, special, word: null, wordText: '' };
    }
    const [start, end] = offsets[i]!;
    // A piece of a character has no place of its own in the text.
    const piece = texts[segment]!.slice(start, end).trim() || encoding.tokens[i]!;
    const isMasked = id === tokenizer.mask_token_id;
    return { text: piece, segment, word: numbers.get(key)!, wordText: wordText(i), ...(isMasked && { isMasked }) };
  });
  return { ids, typeIds, tokens, wholeLength: whole.ids.length };
}

/** The likeliest words for one token, from the logits [1, L, V]. */
function likeliest(data: Float32Array, token: number, words: number, tokenizer: PreTrainedTokenizer): Guess[] {
  const logits = data.subarray(token * words, (token + 1) * words);
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const best: number[] = [];
  for (let id = 0; id < words; id++) {
    if (best.length === GUESSES && logits[id]! <= logits[best.at(-1)!]!) continue;
    best.push(id);
    best.sort((a, b) => logits[b]! - logits[a]!);
    if (best.length > GUESSES) best.pop();
  }
  return best.map(id => ({ text: tokenizer.decode([id]).trim(), score: Math.exp(logits[id]! - largest) / sum }));
}
