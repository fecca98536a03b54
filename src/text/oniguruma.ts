/** Sets of characters by their names (POSIX's, and the letters of `\d`, `\h`, `\s`, `\w`), as members of a class in `v` mode. */
const sets: Record<string, string> = {
  alpha: '\\p{Alpha}',
  alnum: '\\p{Alpha}\\p{Nd}',
  digit: '\\p{Nd}',
  lower: '\\p{Lower}',
  punct: '\\p{P}\\p{S}',
  space: '\\p{space}',
  upper: '\\p{Upper}',
  word: '\\p{Alpha}\\p{M}\\p{Nd}\\p{Pc}',
  xdigit: '\\p{AHex}',
};
const shorthands: Record<string, string> = { d: 'digit', h: 'xdigit', s: 'space', w: 'word' };

/** Outside of a class, \w has some digits more. */
const word = `[${sets.word}\xb2\xb3\xb9\xbc-\xbe]`;
const boundary = (before: string, after: string) =>
  `(?:(?<${before}${word})(?=${word})|(?<${after}${word})(?!${word}))`;

/** What is written in another way outside of a class. `.` and the anchors know no line break but \n. */
const atoms: Record<string, string> = {
  '.': '[^\\n]',
  '^': '(?<![^\\n])',
  $: '(?![^\\n])',
  '\\A': '(?<![^])',
  '\\z': '(?![^])',
  '\\Z': '(?=\\n?(?![^]))',
  '\\b': boundary('!', '='),
  '\\B': boundary('=', '!'),
  '\\a': '\\x07',
  '\\e': '\\x1b',
  '\\w': word,
  '\\W': `[^${word}]`,
  '\\p{Word}': word,
  '\\P{Word}': `[^${word}]`,
};

/** A named set of a class; a property; a code point; the start of a group or of a class; any other escape or character. */
const token =
  /\[:(\^?)([a-z]+):\]|\\([pP])\{(\^?)(\w+)\}|\\(?:x\{([\dA-Fa-f]+)\}|x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4}))|\(\?(?:<?[=!]|i?:)|\[(?:\^|([.=])[^\]]*\9\])?|\\?[\s\S]/gu;

/**
 * A regular expression of tokenizer.json, which is Oniguruma's (Ruby's syntax), as one of JavaScript's in `v` mode. In
 * (?i:…) only ASCII letters change case.
 * @throws SyntaxError for what has no translation; much of it is found by the RegExp that the result is given to.
 */
export function translate(source: string): string {
  /** In how many classes the place is, and for every open group whether (?i:…) holds in it. */
  let depth = 0;
  const folds = [false];
  let result = '';
  for (const match of source.matchAll(token)) {
    const [text, not, named, p, caret, property, long, short, four, collating] = match;
    const next = source[match.index + text.length];
    const code = long ?? short ?? four;
    const fail = (): never => {
      throw new SyntaxError(`no translation at character ${match.index}`);
    };
    const character = (value: string): string => {
      if (!folds.at(-1) || !/[a-z]/i.test(value)) return literal(value);
      const both = value.toLowerCase() + value.toUpperCase();
      if (depth === 0) return `[${both}]`;
      // Between the ends of a range are other letters.
      return next === '-' || result.endsWith('-') ? fail() : both;
    };
    const translated = (): string => {
      // The letters of a set may have another case, too.
      if ((named ?? property) && depth > 0 && folds.at(-1)) fail();
      if (named) return depth > 0 ? set(sets[named] ?? fail(), not !== '') : fail();
      if (depth === 0 && Object.hasOwn(atoms, text)) return atoms[text]!;
      if (property) return set(membersOf(property), (p === 'P') !== (caret !== ''));
      if (code) return character(String.fromCodePoint(Number.parseInt(code, 16)));
      if (text[0] === '\\') return escaped(text) ?? fail();
      if (text[0] === '[') {
        depth++;
        // The first ] of a class stands for itself, and [.a.] is more than one character.
        return next === ']' || collating ? fail() : text;
      }
      if (depth > 0) {
        if (text === ']') depth--;
        const isOperator = text === ']' || (text === '&' && (next === '&' || result.endsWith('&')));
        const isRange = text === '-' && next !== ']' && !/\[\^?$/.test(result);
        if (isRange && next === '-') fail();
        return isOperator || isRange ? text : Array.from(text, character).join('');
      }
      if (text[0] === '(') folds.push(folds.at(-1)! || text === '(?i:');
      if (text === '(' && next === '?') fail();
      if (text === ')') folds.pop();
      return /^[()*+?|{},]/.test(text) ? text.replace('i', '') : character(text);
    };
    result += translated();
  }
  return result;
}

/** An escape of one character; undefined for one that means something else in JavaScript, or nothing. */
function escaped(text: string): string | undefined {
  const key = text.slice(1);
  const shorthand = shorthands[key.toLowerCase()];
  if (shorthand) return set(sets[shorthand]!, key !== key.toLowerCase());
  if (/[fnrtv]/.test(key)) return text;
  return /^[\da-z]?$/i.test(key) ? undefined : literal(key);
}

/** Every mark as a code point: which ones need an escape differs from place to place. */
function literal(character: string): string {
  return /[!-/:-@[-`{-~]/.test(character) ? `\\u{${character.codePointAt(0)!.toString(16)}}` : character;
}

/** What Unicode's properties lack is the name of a script. */
function membersOf(property: string): string {
  const members = sets[property.toLowerCase()] ?? `\\p{${property}}`;
  try {
    new RegExp(members, 'v');
    return members;
  } catch {
    return `\\p{Script=${property}}`;
  }
}

const set = (members: string, isNegated: boolean) => `[${isNegated ? '^' : ''}${members}]`;
