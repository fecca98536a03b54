import { literal } from './literal.ts';

const word = '\\p{Alpha}\\p{M}\\p{Nd}\\p{Pc}';
/** Outside of a class, \w has some digits more. */
const wordOutside = `${word}\xb2\xb3\xb9\xbc-\xbe`;

/**
 * What is written in another way. `.` and the anchors know no line break but \n; behind the \n that a text ends with no
 * line begins.
 */
const spellings: Record<string, string> = {
  '\\d': '\\p{Nd}',
  '\\D': '\\P{Nd}',
  '\\s': '\\p{space}',
  '\\S': '\\P{space}',
  '\\w': `[${word}]`,
  '\\W': `[^${word}]`,
};
const spellingsOutside: Record<string, string> = {
  '.': '[^\\n]',
  '^': '(?<![^\\n])(?!(?<=\\n)(?![\\s\\S]))',
  $: '(?![^\\n])',
  '\\w': `[${wordOutside}]`,
  '\\W': `[^${wordOutside}]`,
};

/**
 * What is one character or more: what has another meaning in a class, as (?i:…) with nothing in it but letters; a property; an
 * escape; the - of a range; what is refused (other escapes, {n}? which is (?:{n})? there, a ] that is first in its class and
 * stands for itself, POSIX's names for characters); the start of a group or of a class; any other escape or character.
 */
const token =
  /(\(\?i:([\w '*+?|]*)\)|&&|--)|\\([pP])\{(\^?)(?!punct\})(\w+)\}|(\\(?:[dDsSwWfnrtv]|x\{[\dA-Fa-f]+\}|x[0-7][\dA-Fa-f]|u[\dA-Fa-f]{4}))|(-)(?!\])|(\\(?:[\dA-Za-z]|$)|\{\d+\}\?|\[\^?\]|\[([:.=])[^\]]{0,20}\9\])|\(\?(?:<?[=!]|:)?|\[\^?-?|\\?[\s\S]/gu;

/**
 * A regular expression of tokenizer.json, which is Oniguruma's (Ruby's syntax), as one of JavaScript's in `v` mode. In
 * (?i:…) only ASCII letters change case.
 * @throws SyntaxError for what has no translation; much of it is found by the RegExp that the result is given to.
 */
export function translate(source: string): string {
  /** In how many classes the place is. */
  let depth = 0;
  const translated = (
    text: string,
    loose?: string,
    folded?: string,
    p?: string,
    caret?: string,
    property?: string,
    escaped?: string,
    range?: string,
    refused?: string,
    _mark?: string,
    index?: number,
  ): string => {
    if (refused !== undefined || (depth > 0 ? loose !== undefined : text === '(?')) {
      throw new SyntaxError(`no translation at character ${index}`);
    }
    if (folded !== undefined) {
      return `(?:${folded.replace(/[a-z]/gi, letter => `[${letter.toLowerCase()}${letter.toUpperCase()}]`)})`;
    }
    if (property !== undefined) return `\\${(p === 'P') === (caret === '') ? 'P' : 'p'}{${nameOf(property)}}`;
    if (depth === 0 && text in spellingsOutside) return spellingsOutside[text]!;
    if (escaped !== undefined) return spellings[text] ?? text.replace('x{', 'u{');
    if (text[0] === '[') {
      depth++;
      return text.replace('-', '\\-');
    }
    if (depth > 0 ? range !== undefined || text === ']' : /^[()*+?|{},]/.test(text)) {
      if (text === ']') depth--;
      return text;
    }
    return literal(text.replace('\\', ''));
  };
  return source.replace(token, translated);
}

/** What Unicode's properties lack is the name of a script. */
function nameOf(property: string): string {
  try {
    new RegExp(`\\p{${property}}`, 'v');
    return property;
  } catch {
    return `Script=${property}`;
  }
}
