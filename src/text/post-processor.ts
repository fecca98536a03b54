import { Fields, isText, isWhole } from '../json.ts';
import { sizeAt } from './aligned-text.ts';
import { build } from './component.ts';
import type { Encoding } from './encoding.ts';
import { TOKENIZER_FILE } from './json-files.ts';

export interface Token {
  readonly id: number;
  readonly token: string;
  readonly offset: [start: number, end: number];
  /** Which word of its text it is of; null for an added special token. */
  readonly word: number | null;
}

/** The tokens of one text, before special tokens are put around them. */
export interface Part {
  /** A list where the words were given: then offsets are those in a word. */
  readonly text: string | readonly string[];
  readonly tokens: readonly Token[];
}

/** What stands at a place of the finished sequence: all tokens of a text, or special tokens that are added. */
interface Slot {
  typeId: number;
  /** Which text it is; null for special tokens, which are `specials`. */
  sequence: 0 | 1 | null;
  specials: readonly Token[];
}

interface Layout {
  /** How one text is laid out, and how a pair is. */
  1: readonly Slot[];
  2: readonly Slot[];
  offset(token: Token, part: Part): [number, number];
}

/** Puts special tokens around texts. */
export interface PostProcessor {
  /** How many special tokens are added to a text (1) or to a pair (2). */
  addedTokens(texts: number): number;
  join(parts: readonly Part[], addSpecialTokens: boolean, truncated: boolean): Encoding;
}

/** The `post_processor` of a tokenizer.json. */
export function buildPostProcessor(config: unknown): PostProcessor {
  const layout: Layout = {
    1: [slot(0, 0)],
    2: [slot(0, 0), slot(1, 1)],
    offset: ({ offset }) => offset,
    ...readLayout(config),
  };
  const slots = (texts: number) => layout[texts as 1 | 2];
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
        for (const each of part?.tokens ?? (addSpecialTokens ? specials : [])) {
          encoding.ids.push(each.id);
          encoding.tokens.push(each.token);
          encoding.typeIds.push(typeId);
          encoding.specialTokensMask.push(part ? 0 : 1);
          encoding.sequenceIds.push(sequence);
          encoding.wordIds.push(each.word);
          encoding.offsets.push(part ? layout.offset(each, part) : [0, 0]);
        }
      }
      return encoding;
    },
  };
}

const slot = (sequence: 0 | 1, typeId: number): Slot => ({ sequence, typeId, specials: [] });

/** @param key the field that says which tokens these are */
const special = (config: Fields, key: string, typeId: number, tokens: unknown[], ids: unknown[]): Slot => {
  if (tokens.length !== ids.length || !tokens.every(isText) || !ids.every(isWhole)) {
    throw config.malformed(tokens, 'tokens and as many ids', key);
  }
  return {
    typeId,
    sequence: null,
    specials: tokens.map((token, i) => ({ id: ids[i]!, token, offset: [0, 0], word: null })),
  };
};

const kinds: Record<string, (config: Fields) => Partial<Layout>> = {
  TemplateProcessing: config => ({ 1: readTemplate(config, 'single'), 2: readTemplate(config, 'pair') }),
  BertProcessing: config => around(config, 1),
  RobertaProcessing: config => ({ ...around(config, 0), ...readTrim(config) }),
  ByteLevel: readTrim,
  Sequence: config =>
    config
      .list('processors')
      .map(readLayout)
      .reduce((layout, later) => Object.assign(layout, later), {}),
};

const readLayout = (config: unknown): Partial<Layout> => build(config, 'post_processor', kinds, {});

/** RoBERTa's trim_offsets: the white space at the ends of a token is no part of its span, but for a prefixed space. */
function readTrim(config: Fields): Partial<Layout> {
  if (!config.flag('trim_offsets', true)) return {};
  const addPrefixSpace = config.flag('add_prefix_space', true);
  return {
    offset: (each, part) => {
      const { tokens } = part;
      const text = typeof part.text === 'string' ? part.text : part.text[each.word!]!;
      let [start, end] = each.offset;
      const leading = countSpaces(each.token, 0, 1);
      const trailing = countSpaces(each.token, each.token.length - 1, -1);
      const isFirst = each === tokens[0] || start === 0;
      const added = isFirst && addPrefixSpace && leading === 1;
      for (let i = added ? 0 : leading; i > 0 && start < end; i--) start += sizeAt(text, start);
      const back = end < trailing ? 0 : trailing;
      for (let i = back; i > 0 && start < end; i--) end -= sizeAt(text, end - 2);
      return [start, end];
    },
  };
}

/** How many units of white space a token has from one of its places on, forwards (1) or backwards (-1). */
function countSpaces(token: string, from: number, step: 1 | -1): number {
  let at = from;
  while (at >= 0 && at < token.length && space.test(token[at]!)) at += step;
  return (at - from) * step;
}

const space = /[\u0120\p{White_Space}]/u;

/** [CLS] A [SEP] and [CLS] A [SEP] B [SEP]; RoBERTa, whose pair is of type 0, has a second separator between the two. */
function around(config: Fields, typeId: 0 | 1): Partial<Layout> {
  const [start, separator] = ['cls', 'sep'].map(key => {
    const [token, id] = config.list(key);
    return special(config, key, 0, [token], [id]);
  }) as [Slot, Slot];
  const single = [start, slot(0, 0), separator];
  return { 1: single, 2: [...single, ...(typeId ? [] : [separator]), slot(1, typeId), { ...separator, typeId }] };
}

function readTemplate(config: Fields, name: 'single' | 'pair'): Slot[] {
  const slots = config.list(name).map((entry): Slot => {
    const piece = new Fields(entry, `post_processor.${name}`, TOKENIZER_FILE);
    const isSequence = piece.has('Sequence');
    const inner = piece.fields(isSequence ? 'Sequence' : 'SpecialToken');
    const typeId = inner.integer('type_id');
    const id = inner.text('id');
    if (isSequence && (id === 'A' || id === 'B')) return slot(id === 'A' ? 0 : 1, typeId);
    const named = config.fields('special_tokens').fields(id);
    return special(config, name, typeId, named.list('tokens'), named.list('ids'));
  });
  const texts = new Set(slots.flatMap(({ sequence }) => sequence ?? []));
  if (name === 'single' ? !texts.has(1) : texts.size === 2) return slots;
  throw config.malformed(config.json[name], name === 'single' ? 'the sequence A only' : 'the sequences A and B', name);
}
