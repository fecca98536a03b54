import { Fields, isText, isWhole } from '../json.ts';
import { sizeAt } from './aligned-text.ts';
import { build } from './component.ts';
import type { Encoding } from './encoding.ts';
import { TOKENIZER_FILE } from './json-files.ts';

export interface Token {
  readonly id: number;
  readonly token: string;
  readonly offset: [start: number, end: number];
  /** The index of its word in the text; null for an added special token. */
  readonly word: number | null;
}

/** The tokens of one text, without special tokens around them. */
export interface Part {
  /** A list if the caller gave words: then offsets count from the start of the word. */
  readonly text: string | readonly string[];
  readonly tokens: readonly Token[];
}

/** A stretch of the finished sequence: all tokens of a text, or special tokens that are added. */
interface Slot {
  readonly typeId: number;
  /** 0 for the text, 1 for its pair, null for `specials`. */
  readonly sequence: 0 | 1 | null;
  readonly specials: readonly Token[];
}

type Offset = (offset: Token['offset'], token: Token, part: Part) => Token['offset'];

interface Layout {
  /** The slots of a text alone. */
  single: readonly Slot[];
  /** The slots of a text and its pair. */
  pair: readonly Slot[];
  /** The offsets that an encoding gives for a token, from the ones that it has. */
  offset: Offset;
}

/** Puts special tokens around texts. */
export interface PostProcessor {
  /** The number of special tokens that are added to one text or to two. */
  addedTokens(texts: number): number;
  /** @param parts the text, and its pair if there is one */
  join(parts: readonly Part[], addSpecialTokens: boolean, truncated: boolean): Encoding;
}

/** The `post_processor` of a tokenizer.json. */
export function buildPostProcessor(config: unknown): PostProcessor {
  const layout: Layout = {
    single: [textSlot(0, 0)],
    pair: [textSlot(0, 0), textSlot(1, 1)],
    offset: offset => offset,
    ...readLayout(config),
  };
  const slots = (texts: number) => (texts === 1 ? layout.single : layout.pair);
  return {
    addedTokens: texts => slots(texts).reduce((sum, { specials }) => sum + specials.length, 0),
    join: (parts, addSpecialTokens, truncated) => {
      const encoding: Encoding = {
        ids: [],
        typeIds: [],
        tokens: [],
        offsets: [],
        specialTokensMask: [],
        sequenceIds: [],
        wordIds: [],
        truncated,
      };
      for (const { sequence, typeId, specials } of slots(parts.length)) {
        const part = sequence === null ? undefined : parts[sequence];
        for (const token of part?.tokens ?? (addSpecialTokens ? specials : [])) {
          encoding.ids.push(token.id);
          encoding.tokens.push(token.token);
          encoding.typeIds.push(typeId);
          encoding.specialTokensMask.push(part ? 0 : 1);
          encoding.sequenceIds.push(sequence);
          encoding.wordIds.push(token.word);
          encoding.offsets.push(part ? layout.offset(token.offset, token, part) : [0, 0]);
        }
      }
      return encoding;
    },
  };
}

const textSlot = (sequence: 0 | 1, typeId: number): Slot => ({ sequence, typeId, specials: [] });

/** @param key the field of `config` that names the tokens */
function specialSlot(
  config: Fields,
  key: string,
  { tokens, ids, typeId }: { tokens: unknown[]; ids: unknown[]; typeId: number },
): Slot {
  if (tokens.length !== ids.length || !tokens.every(isText) || !ids.every(isWhole)) {
    throw config.malformed(tokens, 'tokens and as many ids', key);
  }
  return {
    typeId,
    sequence: null,
    specials: tokens.map((token, i) => ({ id: ids[i]!, token, offset: [0, 0], word: null })),
  };
}

const LAYOUTS: Record<string, (config: Fields) => Partial<Layout>> = {
  TemplateProcessing: config => ({ single: readTemplate(config, 'single'), pair: readTemplate(config, 'pair') }),
  BertProcessing: config => around(config, 1),
  RobertaProcessing: config => ({ ...around(config, 0), ...readTrim(config) }),
  ByteLevel: readTrim,
  Sequence: config => config.list('processors').map(readLayout).reduce(inOrder, {}),
};

const readLayout = (config: unknown): Partial<Layout> => build(config, 'post_processor', LAYOUTS, {});

/** RoBERTa's trim_offsets: the offsets of a token leave out the white space at its ends, but not a space that was added before the text. */
function readTrim(config: Fields): Partial<Layout> {
  if (!config.flag('trim_offsets', true)) return {};
  const addPrefixSpace = config.flag('add_prefix_space', true);
  return {
    offset: ([start, end], token, part) => {
      const text = typeof part.text === 'string' ? part.text : part.text[token.word!]!;
      const leading = countSpaces(token.token, 0, 1);
      const trailing = countSpaces(token.token, token.token.length - 1, -1);
      const isFirst = token === part.tokens[0] || start === 0;
      const hasAddedSpace = isFirst && addPrefixSpace && leading === 1;
      for (let i = hasAddedSpace ? 0 : leading; i > 0 && start < end; i--) start += sizeAt(text, start);
      for (let i = end < trailing ? 0 : trailing; i > 0 && start < end; i--) end -= sizeAt(text, end - 2);
      return [start, end];
    },
  };
}

/** The layout of two processors in turn: the later one's slots, and offsets that both trim if both do. */
function inOrder(earlier: Partial<Layout>, later: Partial<Layout>): Partial<Layout> {
  const [first, second] = [earlier.offset, later.offset];
  const offset: Offset | undefined =
    first && second ? (offset, token, part) => second(first(offset, token, part), token, part) : (second ?? first);
  return { ...earlier, ...later, ...(offset && { offset }) };
}

/** The number of units of white space in a token, from one of its units on, forwards (1) or backwards (-1). */
function countSpaces(token: string, from: number, step: 1 | -1): number {
  let at = from;
  while (at >= 0 && at < token.length && space.test(token[at]!)) at += step;
  return (at - from) * step;
}

const space = /[\u0120\p{White_Space}]/u;

/** [CLS] A [SEP] and [CLS] A [SEP] B [SEP]. RoBERTa (pair of type 0) has a second separator between the two: [CLS] A [SEP] [SEP] B [SEP]. */
function around(config: Fields, pairTypeId: 0 | 1): Partial<Layout> {
  const [start, separator] = ['cls', 'sep'].map(key => {
    const [token, id] = config.list(key);
    return specialSlot(config, key, { tokens: [token], ids: [id], typeId: 0 });
  }) as [Slot, Slot];
  const single = [start, textSlot(0, 0), separator];
  const between = pairTypeId === 0 ? [separator] : [];
  const pair = [...single, ...between, textSlot(1, pairTypeId), { ...separator, typeId: pairTypeId }];
  return { single, pair };
}

function readTemplate(config: Fields, name: 'single' | 'pair'): Slot[] {
  const slots = config.list(name).map((entry): Slot => {
    const piece = new Fields(entry, `post_processor.${name}`, TOKENIZER_FILE);
    const isSequence = piece.has('Sequence');
    const inner = piece.fields(isSequence ? 'Sequence' : 'SpecialToken');
    const typeId = inner.integer('type_id');
    const id = inner.text('id');
    if (isSequence && (id === 'A' || id === 'B')) return textSlot(id === 'A' ? 0 : 1, typeId);
    const named = config.fields('special_tokens').fields(id);
    return specialSlot(config, name, { tokens: named.list('tokens'), ids: named.list('ids'), typeId });
  });
  const texts = new Set(slots.flatMap(({ sequence }) => sequence ?? []));
  if (name === 'single' ? !texts.has(1) : texts.size === 2) return slots;
  throw config.malformed(config.json[name], name === 'single' ? 'the sequence A only' : 'the sequences A and B', name);
}
