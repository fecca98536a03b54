import { readClass } from './character-class.ts';
import { WORD_CLASS } from './character-sets.ts';
import { characterMember, readEscape } from './escape.ts';
import { anyCase, ligatureAt } from './letter-case.ts';
import { Reader } from './reader.ts';
import { choice, classOf, lookAhead, lookBehind, MAX_DEPTH, type Repeat, type Syntax, sequence } from './syntax.ts';
import { UnsupportedPattern } from './unsupported.ts';

const ANY = classOf('[^]');
const NOT_NEWLINE = classOf('[^\\n]');
const WORD = classOf(WORD_CLASS);
const END_OF_TEXT = lookAhead(ANY, true);

const isBetween = (before: Syntax, after: Syntax) => sequence(before, after);
const [wordBefore, noWordBefore] = [lookBehind(WORD), lookBehind(WORD, true)];
const [wordAfter, noWordAfter] = [lookAhead(WORD), lookAhead(WORD, true)];

/** Assertions, by their spellings. Lines end at \n alone; behind the \n that a text ends with, no line begins. */
const ASSERTIONS: Readonly<Record<string, Syntax>> = {
  '^': sequence(lookBehind(NOT_NEWLINE, true), lookAhead(sequence(lookBehind(classOf('\\n')), END_OF_TEXT), true)),
  $: lookAhead(NOT_NEWLINE, true),
  '\\A': lookBehind(ANY, true),
  '\\z': END_OF_TEXT,
  '\\Z': lookAhead(sequence({ kind: 'repeat', body: classOf('\\n'), min: 0, max: 1, isLazy: false }, END_OF_TEXT)),
  '\\b': choice(isBetween(noWordBefore, wordAfter), isBetween(wordBefore, noWordAfter)),
  '\\B': choice(isBetween(noWordBefore, noWordAfter), isBetween(wordBefore, wordAfter)),
};

/** Escapes that are no class of characters. */
const ESCAPES: Readonly<Record<string, Syntax>> = {
  '\\N': NOT_NEWLINE,
  '\\O': ANY,
  '\\R': {
    kind: 'atomic',
    body: choice(sequence(classOf('\\r'), classOf('\\n')), classOf('[\\n-\\r\\x85\\u2028\\u2029]')),
  },
};

const OPEN_GROUP = /\?(?:[:>=!]|<[=!]|<[^<>=!\d)-][^<>)]*>|'[^'\d)-][^')]*')/y;
const OPTIONS = /\?([im]*)(?:-([im]*))?([:)])/y;
const COMMENT = /\(\?#[^)]*\)/y;
const SYMBOL = /([*+?])([+?]?)/y;
const INTERVAL = /\{(?:(\d+)(?:(,)(\d*))?|,(\d+))\}/y;
/** The greatest number of an interval that Oniguruma takes. */
const MAX_ROUNDS = 100_000;

/** What holds for a part of a pattern. */
interface Context {
  readonly ignoresCase: boolean;
  readonly dotIsAny: boolean;
  /** Whether it is read from its end to its start, in what looks behind. */
  readonly isBehind: boolean;
  readonly depth: number;
}

/** A part of a sequence while it is read. */
interface Item {
  readonly node: Syntax;
  /** An assertion cannot be repeated. */
  readonly isAssertion?: boolean;
  /** The letter in lower case, of a single letter in (?i:…): it may be a part of a ligature. */
  readonly letter?: string;
  /** The parts of a plain group with one option: its letters may be a part of a ligature with those around it. */
  readonly items?: readonly Item[];
}

type Quantifier = Pick<Repeat, 'min' | 'max' | 'isLazy'> & {
  readonly isPossessive: boolean;
  /** Whether it is ?, * or + without a suffix. */
  readonly isPlainSymbol: boolean;
};

/**
 * Reads a regular expression of tokenizer.json, which is Oniguruma's (the library of the Rust tokenizers).
 * @throws SyntaxError for what Oniguruma refuses too; UnsupportedPattern for what has no translation
 */
export function parsePattern(source: string): Syntax {
  return new PatternParser(source).parse();
}

class PatternParser {
  readonly #reader: Reader;

  constructor(source: string) {
    this.#reader = new Reader(source);
  }

  parse(): Syntax {
    const options = this.#options({ ignoresCase: false, dotIsAny: false, isBehind: false, depth: 0 });
    if (!this.#reader.isAtEnd) throw this.#reader.malformed('a ) without its (');
    return choiceOf(options);
  }

  /** The options of a group, up to its ) or to the end of the pattern. */
  #options(context: Context): Item[][] {
    if (context.depth > MAX_DEPTH) {
      throw new UnsupportedPattern(`groups that stand in each other more than ${MAX_DEPTH} deep`, {
        expected: 'less deep ones',
      });
    }
    const reader = this.#reader;
    let items: Item[] = [];
    const options = [items];
    while (!reader.isAtEnd && !reader.sees(')')) {
      if (reader.take(COMMENT) !== null) continue;
      if (reader.skip('|')) {
        items = [];
        options.push(items);
      } else {
        items.push(this.#repeated(this.#item(context), context));
      }
    }
    return options;
  }

  #item(context: Context): Item {
    const reader = this.#reader;
    if (reader.skip('(')) return this.#group(context);
    if (reader.skip('[')) return { node: classOf(readClass(reader, context.ignoresCase)) };
    if (reader.skip('.')) return { node: context.dotIsAny ? ANY : NOT_NEWLINE };
    for (const [spelling, node] of Object.entries(ASSERTIONS)) {
      if (reader.skip(spelling)) return { node, isAssertion: true };
    }
    for (const [spelling, node] of Object.entries(ESCAPES)) {
      if (reader.skip(spelling)) return { node };
    }
    if (reader.take(SYMBOL) !== null || reader.take(INTERVAL) !== null) throw reader.malformed('nothing to repeat');
    const { source, character } = reader.skip('\\') ? readEscape(reader, false) : characterMember(reader.next());
    if (!context.ignoresCase || character === undefined) return { node: classOf(source) };
    return { node: classOf(anyCase(character)), letter: character.toLowerCase() };
  }

  /** A group whose ( is read. */
  #group(context: Context): Item {
    const reader = this.#reader;
    const inner = { ...context, depth: context.depth + 1 };
    const opened = reader.take(OPEN_GROUP);
    switch (opened?.[0]) {
      case '?:': {
        const options = this.#closed(inner);
        return { node: choiceOf(options), ...(options.length === 1 && { items: options[0]! }) };
      }
      case '?>':
        return { node: this.#atomic(choiceOf(this.#closed(inner)), context) };
      case '?=':
      case '?!': {
        const body = choiceOf(this.#closed({ ...inner, isBehind: false }));
        return { node: lookAhead(body, opened[0] === '?!'), isAssertion: true };
      }
      case '?<=':
      case '?<!': {
        const body = choiceOf(this.#closed({ ...inner, isBehind: true }));
        return { node: lookBehind(body, opened[0] === '?<!'), isAssertion: true };
      }
    }
    if (opened === null) {
      const options = reader.take(OPTIONS);
      if (options !== null) return this.#withOptions(inner, options);
      if (reader.skip('*')) throw reader.malformed('a group (*…)');
      if (reader.skip('?')) {
        if (reader.isAtEnd) throw reader.malformed('a group that does not end');
        throw new UnsupportedPattern(`a group (?${reader.next()}`);
      }
    }
    return { node: choiceOf(this.#closed(inner)) };
  }

  /** (?i:…) for a group, or (?i) for the rest of the group that it stands in, with the options of that rest. */
  #withOptions(context: Context, [, on, off = '', end]: RegExpExecArray): Item {
    const set = (letter: string, before: boolean) => (on!.includes(letter) || before) && !off.includes(letter);
    const inner = {
      ...context,
      ignoresCase: set('i', context.ignoresCase),
      dotIsAny: set('m', context.dotIsAny),
    };
    return { node: choiceOf(end === ':' ? this.#closed(inner) : this.#options(inner)) };
  }

  /** The options of a group and its ). */
  #closed(context: Context): Item[][] {
    const options = this.#options(context);
    if (!this.#reader.skip(')')) throw this.#reader.malformed('a group that does not end');
    return options;
  }

  /** An item with the quantifiers behind it. */
  #repeated(item: Item, context: Context): Item {
    let repeated = item;
    let isPlain = false;
    for (let quantifier = this.#quantifier(); quantifier !== undefined; quantifier = this.#quantifier()) {
      if (item.isAssertion) throw this.#reader.malformed('an assertion that is repeated');
      const { min, max, isLazy, isPossessive, isPlainSymbol } = quantifier;
      const { node } = repeated;
      // As in Oniguruma, a** and a+* are a*.
      const isMerged = isPlain && isPlainSymbol && node.kind === 'repeat';
      const repeat: Syntax = { kind: 'repeat', body: isMerged ? node.body : node, min, max, isLazy };
      repeated = { node: isPossessive ? this.#atomic(repeat, context) : repeat };
      isPlain = isPlainSymbol;
    }
    return repeated;
  }

  /** The quantifier that comes next, if there is one. */
  #quantifier(): Quantifier | undefined {
    const reader = this.#reader;
    while (reader.take(COMMENT) !== null);
    const symbol = reader.take(SYMBOL);
    if (symbol !== null) {
      const [, mark, suffix] = symbol;
      return {
        min: mark === '+' ? 1 : 0,
        max: mark === '?' ? 1 : Number.POSITIVE_INFINITY,
        isLazy: suffix === '?',
        isPossessive: suffix === '+',
        isPlainSymbol: suffix === '',
      };
    }
    const interval = reader.take(INTERVAL);
    if (interval === null) return undefined;
    const [text, low, comma, high, highAlone] = interval;
    const isExact = low !== undefined && comma === undefined;
    const min = Number(low ?? 0);
    const limit = highAlone ?? (isExact ? low : high);
    const max = limit === '' ? Number.POSITIVE_INFINITY : Number(limit);
    if (min > MAX_ROUNDS || (max > MAX_ROUNDS && max < Number.POSITIVE_INFINITY)) {
      throw reader.malformed(`too great a number, ${text},`);
    }
    if (min > max) throw new UnsupportedPattern(`an interval that gives nothing back, ${text}`);
    // Behind {n}, as in Ruby, a ? is a quantifier of its own; so is a + behind any interval.
    const isLazy = !isExact && reader.skip('?');
    return { min, max, isLazy, isPossessive: false, isPlainSymbol: false };
  }

  #atomic(body: Syntax, { isBehind }: Context): Syntax {
    if (isBehind) throw new UnsupportedPattern('an atomic group, or a possessive quantifier, that looks behind');
    return { kind: 'atomic', body };
  }
}

const choiceOf = (options: readonly Item[][]): Syntax => {
  const sequences = options.map(items => sequence(...withLigatures(items)));
  return sequences.length === 1 ? sequences[0]! : choice(...sequences);
};

/** The nodes of a sequence. In (?i:…), letters that stand side by side match their ligatures as well. */
function withLigatures(items: readonly Item[]): Syntax[] {
  const flat = flattened(items);
  const nodes: Syntax[] = [];
  for (let i = 0; i < flat.length; ) {
    const letters: string[] = [];
    for (const { letter } of flat.slice(i, i + 3)) {
      if (letter === undefined) break;
      letters.push(letter);
    }
    const ligature = ligatureAt(letters);
    const length = ligature?.length ?? 1;
    const spelled = flat.slice(i, i + length).map(({ node }) => node);
    nodes.push(ligature === undefined ? spelled[0]! : choice(sequence(...spelled), classOf(ligature.source)));
    i += length;
  }
  return nodes;
}

/** The parts of a sequence, with those of its plain groups in place of the groups. */
const flattened = (items: readonly Item[]): Item[] =>
  items.flatMap(item => (item.items === undefined ? item : flattened(item.items)));
