/** Characters by their POSIX names, as members of a class in JavaScript's `v` mode. */
const posix: Record<string, string> = {
  alpha: '\\p{Alpha}',
  alnum: '\\p{Alpha}\\p{Nd}',
  blank: '\\t\\p{Zs}',
  cntrl: '\\p{Cc}',
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
const word = `[${posix.word}\xb2\xb3\xb9\xbc-\xbe]`;
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
  '\\w': word,
  '\\W': `[^${word}]`,
  '\\p{Word}': word,
  '\\P{Word}': `[^${word}]`,
};

/** A property, a code point, a control character, a named reference, any other escape, any character. */
const token =
  /\\([pP])\{(\^?)([^}]+)\}|\\(?:x\{([\dA-Fa-f]+)\}|x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4}))|\\c[A-Za-z]|\\k<[^>]+>|\\?[\s\S]/uy;

/**
 * A regular expression of tokenizer.json, which is Oniguruma's (Ruby's syntax), as one of JavaScript's in `v` mode. In
 * (?i:…) only ASCII letters change case.
 * @throws SyntaxError for what has no translation; much of it is found by the RegExp that the result is given to.
 */
export function translate(source: string): string {
  let at = 0;
  let folds = false;
  let atomics = 0;

  const fail = (): never => {
    throw new SyntaxError(`no translation at character ${at}`);
  };
  const take = (expected: RegExp) => {
    expected.lastIndex = at;
    const match = expected.exec(source);
    at += match?.[0].length ?? 0;
    return match;
  };

  /** A character or a set of them, the same inside of a class and outside. */
  const member = (): string => {
    const [text, p, not, name, ...codes] = take(token) ?? fail();
    if (p !== undefined) return set(name!, (p === 'P') !== (not !== ''));
    const code = codes.find(digits => digits !== undefined);
    if (code !== undefined) return literal(String.fromCodePoint(Number.parseInt(code, 16)));
    if (text[0] !== '\\') return literal(text);
    const key = text.slice(1);
    if (key === '') fail();
    const shorthand = shorthands[key.toLowerCase()];
    if (shorthand !== undefined) return set(shorthand, key !== key.toLowerCase());
    if (key === 'a') return '\\x07';
    if (key === 'e') return '\\x1b';
    return /^[a-z\d]/i.test(key) ? text : literal(key);
  };

  /** One class, nested ones and intersections of them too; its `[` is read. */
  const characterClass = (isOuter: boolean): string => {
    const negation = take(/\^?/y)![0];
    const operands = [''];
    let isOpen = false;
    for (let isFirst = true; isFirst || !take(/\]/y); isFirst = false) {
      if (take(/&&/y)) {
        operands.push('');
        isOpen = false;
        continue;
      }
      const isRange: boolean = isOpen && take(/-(?!\]|&&)/y) !== null;
      const [named, not, name] = take(/\[:(\^?)([a-z]+):\]/y) ?? [];
      let next: string;
      if (named !== undefined) next = Object.hasOwn(posix, name!) ? set(name!, not !== '') : fail();
      else if (take(/\[([.=])[^\]]*\1\]/y)) next = fail();
      else if (take(/\[/y)) next = characterClass(false);
      else next = member();
      operands.push(operands.pop()! + (isRange ? '-' : '') + next);
      isOpen = !isRange;
    }
    if (operands.includes('')) fail();
    const positive = operands.length > 1 ? operands.map(operand => `[${operand}]`).join('&&') : operands[0]!;
    return `[${negation}${isOuter && folds ? `[${positive}]${otherCase(`[${positive}]`)}` : positive}]`;
  };

  /** What matches `text` and never gives back a part of it: a lookahead is not entered again. */
  const atomic = (text: string): string => {
    const name = `atomic${atomics++}`;
    return `(?=(?<${name}>${text}))\\k<${name}>`;
  };

  let result = '';
  /** Where the atom starts that a quantifier would repeat; -1 where there is none. */
  let start = -1;
  const groups: { start: number; folds: boolean; isAtomic: boolean }[] = [];
  while (at < source.length) {
    const quantifier = start < 0 ? null : take(/[*+?]|\{(\d+(?:,\d*)?|,\d+)\}/y);
    const group = quantifier ? null : take(/\((?:\?(?:<[=!]|<[a-z_]\w*>|i:|[:=!>]))?/iy);
    if (quantifier !== null) {
      const [symbol, range] = quantifier;
      const repeated = result.slice(start) + (range?.startsWith(',') ? `{0${range}}` : symbol);
      // A second + is possessive, but after {n,m}, where it and * repeat once more.
      const isPossessive = range === undefined && take(/\+/y) !== null;
      const repeats = range !== undefined && /[*+]/.test(source[at] ?? '');
      result = result.slice(0, start) + (isPossessive ? atomic(repeated) : repeats ? `(?:${repeated})` : repeated);
      if (!repeats) {
        result += take(/\?/y)?.[0] ?? '';
        start = -1;
      }
    } else if (group !== null) {
      const [open] = group;
      if (open === '(' && source[at] === '?') fail();
      groups.push({ start: result.length, folds, isAtomic: open === '(?>' });
      folds ||= open === '(?i:';
      result += open === '(?i:' || open === '(?>' ? '(?:' : open;
      start = -1;
    } else if (take(/\)/y)) {
      const closed = groups.pop() ?? fail();
      ({ start, folds } = closed);
      result += ')';
      if (closed.isAtomic) result = result.slice(0, start) + atomic(result.slice(start));
    } else if (take(/\|/y)) {
      result += '|';
      start = -1;
    } else if (take(/[*+?]/y)) {
      fail();
    } else if (!take(/\\G/y)) {
      start = result.length;
      const known = take(/\\(?:[AzZbBwW]|[pP]\{Word\})|[.^$]/y);
      result += known ? atoms[known[0]] : take(/\[/y) ? characterClass(true) : folded(member(), folds);
    }
  }
  if (atomics > 0 && /\\[1-9]/.test(source)) fail();
  return result;
}

/** Every mark as a code point: which ones need an escape differs from place to place. */
function literal(character: string): string {
  return /[!-/:-@[-`{-~]/.test(character) ? `\\u{${character.codePointAt(0)!.toString(16)}}` : character;
}

/** What Unicode's properties lack is the name of a script. */
function set(name: string, isNegated: boolean): string {
  let members = posix[name.toLowerCase()] ?? `\\p{${name}}`;
  try {
    new RegExp(members, 'v');
  } catch {
    members = `\\p{Script=${name}}`;
  }
  return `[${isNegated ? '^' : ''}${members}]`;
}

function folded(atom: string, folds: boolean): string {
  return folds && /^[a-z]$/i.test(atom) ? `[${atom.toLowerCase()}${atom.toUpperCase()}]` : atom;
}

/** The ASCII letters whose other case alone is in a class. */
function otherCase(characters: string): string {
  const has = new RegExp(characters, 'v');
  return [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ']
    .filter(letter => {
      const other = letter < 'a' ? letter.toLowerCase() : letter.toUpperCase();
      return has.test(other) && !has.test(letter);
    })
    .join('');
}
