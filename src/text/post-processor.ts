import { sizeAt } from './aligned-text.ts';
import { build, type Component, integer, type Json, list, malformed, record, text } from './component.ts';
import type { Encoding } from './encoding.ts';

/** Tokens of one text, before special tokens are put around them. */
export interface Part {
  text: string;
  ids: readonly number[];
  tokens: readonly string[];
  offsets: readonly (readonly [number, number])[];
  words: readonly number[];
}

/** What stands at a place of the finished sequence: added special tokens, or all tokens of a text. */
type Slot = { typeId: number } & ({ sequence: 0 | 1 } | { ids: number[]; tokens: string[] });

interface Layout {
  single: readonly Slot[];
  pair: readonly Slot[];
  /** Whether white space is taken off the offsets, and whether the first token's was added by the pre-tokenizer. */
  trim?: { addPrefixSpace: boolean };
}

const sequences = (typeIdOfPair: number): Layout => ({
  single: [{ sequence: 0, typeId: 0 }],
  pair: [
    { sequence: 0, typeId: 0 },
    { sequence: 1, typeId: typeIdOfPair },
  ],
});

/** Puts special tokens around texts: the `post_processor` of a tokenizer.json. */
export class PostProcessor {
  private readonly layout: Layout;

  constructor(config: unknown) {
    this.layout = { ...sequences(1), ...readLayout(config) };
  }

  /** How many special tokens are added to a text (1) or to a pair (2). */
  addedTokens(texts: number): number {
    return this.slots(texts).reduce((sum, slot) => sum + ('ids' in slot ? slot.ids.length : 0), 0);
  }

  join(parts: readonly Part[], addSpecialTokens: boolean, truncated: boolean): Encoding {
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
    for (const slot of this.slots(parts.length)) {
      const isSpecial = 'ids' in slot;
      if (isSpecial && !addSpecialTokens) continue;
      const part = isSpecial ? slot : parts[slot.sequence]!;
      for (let i = 0; i < part.ids.length; i++) {
        encoding.ids.push(part.ids[i]!);
        encoding.tokens.push(part.tokens[i]!);
        encoding.typeIds.push(slot.typeId);
        encoding.specialTokensMask.push(isSpecial ? 1 : 0);
        encoding.sequenceIds.push(isSpecial ? null : slot.sequence);
        encoding.wordIds.push(isSpecial ? null : parts[slot.sequence]!.words[i]!);
        encoding.offsets.push(isSpecial ? [0, 0] : this.offset(parts[slot.sequence]!, i));
      }
    }
    return encoding;
  }

  private slots(texts: number): readonly Slot[] {
    return texts === 1 ? this.layout.single : this.layout.pair;
  }

  /** RoBERTa's trim_offsets: the white space at the ends of a token is no part of its span. */
  private offset(part: Part, index: number): [number, number] {
    let [start, end] = part.offsets[index]!;
    const { trim } = this.layout;
    if (trim === undefined) return [start, end];
    const [, leading, trailing] = spaces.exec(part.tokens[index]!)!;
    const isFirst = index === 0 || start === 0;
    const added = isFirst && trim.addPrefixSpace && leading!.length === 1;
    for (let i = added ? 0 : leading!.length; i > 0 && start < end; i--) start += sizeAt(part.text, start);
    const back = end < trailing!.length ? 0 : trailing!.length;
    for (let i = back; i > 0 && start < end; i--) end -= sizeAt(part.text, end - 2);
    return [start, end];
  }
}

/** The white space at both ends of a token; all of a token that is nothing else stands at both. */
const spaces = /^(?=([\u0120\p{White_Space}]*)).*?([\u0120\p{White_Space}]*)$/su;

const kinds: Record<string, (config: Component) => Partial<Layout>> = {
  TemplateProcessing: config => {
    const special = record(config.json.special_tokens, 'post_processor.special_tokens');
    return {
      single: readTemplate(config.json.single, special, 'single'),
      pair: readTemplate(config.json.pair, special, 'pair'),
    };
  },
  BertProcessing: config => around(config, 1, false),
  RobertaProcessing: config => ({
    ...around(config, 0, true),
    ...readTrim(config),
  }),
  ByteLevel: readTrim,
  Sequence: config => Object.assign({}, ...config.list('processors').map(readLayout)) as Partial<Layout>,
};

function readLayout(config: unknown): Partial<Layout> {
  return config === null || config === undefined ? {} : build(config, 'post_processor', kinds);
}

function readTrim(config: Component): Partial<Layout> {
  return config.flag('trim_offsets', true) ? { trim: { addPrefixSpace: config.flag('add_prefix_space', true) } } : {};
}

/** [CLS] A [SEP] and [CLS] A [SEP] B [SEP]; RoBERTa has a second separator between the two. */
function around(config: Component, typeIdOfPair: number, twice: boolean): Layout {
  const special = (key: string, typeId: number): Slot => {
    const [token, id] = config.list(key);
    const where = `post_processor.${key}`;
    return { tokens: [text(token, where)], ids: [integer(id, where)], typeId };
  };
  const single: Slot[] = [special('cls', 0), { sequence: 0, typeId: 0 }, special('sep', 0)];
  const pair: Slot[] = [{ sequence: 1, typeId: typeIdOfPair }, special('sep', typeIdOfPair)];
  return { single, pair: [...single, ...(twice ? [special('sep', 0)] : []), ...pair] };
}

function readTemplate(value: unknown, special: Json, name: 'single' | 'pair'): Slot[] {
  const where = `post_processor.${name}`;
  const slots = list(value, where).map((entry): Slot => {
    const { Sequence, SpecialToken } = record(entry, where);
    const piece = record(Sequence ?? SpecialToken, where);
    const typeId = integer(piece.type_id, `${where}.type_id`);
    if (Sequence !== undefined) {
      if (piece.id !== 'A' && piece.id !== 'B') throw malformed(`${where}.id`, piece.id, 'A or B');
      return { sequence: piece.id === 'A' ? 0 : 1, typeId };
    }
    const key = text(piece.id, `${where}.id`);
    const token = record(special[key], `post_processor.special_tokens[${JSON.stringify(key)}]`);
    const ids = list(token.ids, `${where}.ids`).map(id => integer(id, `${where}.ids`));
    const tokens = list(token.tokens, `${where}.tokens`).map(part => text(part, `${where}.tokens`));
    if (ids.length !== tokens.length) throw malformed(`${where}.tokens`, tokens, `${ids.length} tokens`);
    return { ids, tokens, typeId };
  });
  const texts = new Set(slots.flatMap(slot => ('sequence' in slot ? slot.sequence : [])));
  if (name === 'single' ? texts.has(1) : texts.size < 2) {
    throw malformed(where, value, name === 'single' ? 'the sequence A only' : 'the sequences A and B');
  }
  return slots;
}
