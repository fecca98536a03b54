/**
 * The structure of a pattern: what `translate` makes of a regular expression of tokenizer.json, which is JavaScript's syntax in
 * `v` mode with what is not translated left out (no references back, no names, no \b).
 */
export type Syntax =
  /** One character of a class, spelled so that it may stand inside of another class. */
  | { readonly kind: 'class'; readonly source: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Syntax[] }
  /** The first option that leads to a match is taken. */
  | { readonly kind: 'choice'; readonly options: readonly Syntax[] }
  /** `most` is Infinity where there is no limit. */
  | {
      readonly kind: 'repeat';
      readonly body: Syntax;
      readonly least: number;
      readonly most: number;
      readonly isLazy: boolean;
    }
  | { readonly kind: 'look'; readonly body: Syntax; readonly isBehind: boolean; readonly isNegative: boolean };

/** How deep groups may stand in each other. */
const DEEPEST = 100;

const escaped =
  /\\(?:[pP]\{[^}]*\}|x[\dA-Fa-f]{2}|u\{[\dA-Fa-f]+\}|u[dD][89a-bA-B][\dA-Fa-f]{2}\\u[dD][c-fC-F][\dA-Fa-f]{2}|u[\dA-Fa-f]{4}|.)/suy;
const group = /\((?:\?(?::|(<?)([=!])))?/uy;
const quantifier = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)/uy;

/**
 * @param source of a regular expression that JavaScript has accepted with the flag v
 * @throws RangeError where groups are nested too deep
 */
export function parsePattern(source: string): Syntax {
  let at = 0;
  const take = (token: RegExp): RegExpExecArray | null => {
    token.lastIndex = at;
    const found = token.exec(source);
    if (found !== null) at = token.lastIndex;
    return found;
  };

  const choice = (depth: number): Syntax => {
    if (depth > DEEPEST) throw new RangeError(`groups are nested more than ${DEEPEST} deep`);
    const options: Syntax[] = [];
    let parts: Syntax[] = [];
    for (; at < source.length && source[at] !== ')'; ) {
      if (source[at] === '|') {
        at++;
        options.push({ kind: 'sequence', parts });
        parts = [];
      } else parts.push(repeated(item(depth)));
    }
    options.push({ kind: 'sequence', parts });
    return options.length === 1 ? options[0]! : { kind: 'choice', options };
  };

  const item = (depth: number): Syntax => {
    const opened = take(group);
    if (opened !== null) {
      const [, behind, sign] = opened;
      const body = choice(depth + 1);
      at++;
      if (sign === undefined) return body;
      return { kind: 'look', body, isBehind: behind === '<', isNegative: sign === '!' };
    }
    const start = at;
    if (source[at] === '[') at = endOfClass(source, at);
    else if (take(escaped) === null) at += source.codePointAt(at)! > 0xffff ? 2 : 1;
    return { kind: 'class', source: source.slice(start, at) };
  };

  const repeated = (body: Syntax): Syntax => {
    const found = take(quantifier);
    if (found === null) return body;
    const [, mark, low, comma, high, lazy] = found;
    const least = mark === undefined ? Number(low) : mark === '+' ? 1 : 0;
    const limit = comma === undefined ? least : high === '' ? Number.POSITIVE_INFINITY : Number(high);
    const most = mark === undefined ? limit : mark === '?' ? 1 : Number.POSITIVE_INFINITY;
    return { kind: 'repeat', body, least, most, isLazy: lazy !== '' };
  };
  return choice(0);
}

/** Where the class ends that begins at a place; classes may stand in classes. */
function endOfClass(source: string, start: number): number {
  let at = start;
  let depth = 0;
  do {
    if (source[at] === '\\') at++;
    else if (source[at] === '[') depth++;
    else if (source[at] === ']') depth--;
    at++;
  } while (depth > 0);
  return at;
}

/** Whether a pattern may match without taking a character. */
export function isNullable(node: Syntax): boolean {
  switch (node.kind) {
    case 'class':
      return false;
    case 'look':
      return true;
    case 'sequence':
      return node.parts.every(isNullable);
    case 'choice':
      return node.options.some(isNullable);
    case 'repeat':
      return node.least === 0 || isNullable(node.body);
  }
}

/** Whether every other way to match is tried before the one that takes no character, if there is that one. */
export function isEmptyLast(node: Syntax): boolean {
  if (!isNullable(node)) return true;
  switch (node.kind) {
    case 'class':
    case 'look':
      return true;
    case 'sequence':
      return node.parts.every(isEmptyLast);
    case 'choice':
      return node.options.every(
        (option, i) => !isNullable(option) || (i === node.options.length - 1 && isEmptyLast(option)),
      );
    case 'repeat':
      return (!node.isLazy || node.most === 0) && isEmptyLast(node.body);
  }
}
