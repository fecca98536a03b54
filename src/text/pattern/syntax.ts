/** The structure of a pattern, without the spelling of any language of regular expressions. */
export type Syntax =
  /** One character of a class: JavaScript's source of it in `v` mode, spelled so that it may also stand in another class. */
  | { readonly kind: 'class'; readonly source: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Syntax[] }
  /** The first option that leads to a match is taken. */
  | { readonly kind: 'choice'; readonly options: readonly Syntax[] }
  | Repeat
  /** An assertion about what comes next, or about what comes before. */
  | { readonly kind: 'look'; readonly body: Syntax; readonly isBehind: boolean; readonly isNegative: boolean }
  /** Takes what the body matches first, and tries no other way through the body when the rest of the pattern fails. */
  | { readonly kind: 'atomic'; readonly body: Syntax };

export interface Repeat {
  readonly kind: 'repeat';
  readonly body: Syntax;
  readonly min: number;
  /** Infinity where there is no limit. */
  readonly max: number;
  /** Whether fewer rounds are tried before more. */
  readonly isLazy: boolean;
}

/** How deep groups, or classes, may stand in each other. */
export const MAX_DEPTH = 100;

export const classOf = (source: string): Syntax => ({ kind: 'class', source });
export const sequence = (...parts: readonly Syntax[]): Syntax => ({ kind: 'sequence', parts });
export const choice = (...options: readonly Syntax[]): Syntax => ({ kind: 'choice', options });
export const lookAhead = (body: Syntax, isNegative = false): Syntax => ({
  kind: 'look',
  body,
  isBehind: false,
  isNegative,
});
export const lookBehind = (body: Syntax, isNegative = false): Syntax => ({
  kind: 'look',
  body,
  isBehind: true,
  isNegative,
});

/** A pattern with its atomic groups as plain ones: it may match in all the ways that the pattern may, and in others. */
export function withoutAtomic(node: Syntax): Syntax {
  switch (node.kind) {
    case 'class':
      return node;
    case 'sequence':
      return sequence(...node.parts.map(withoutAtomic));
    case 'choice':
      return choice(...node.options.map(withoutAtomic));
    case 'repeat':
    case 'look':
      return { ...node, body: withoutAtomic(node.body) };
    case 'atomic':
      return withoutAtomic(node.body);
  }
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
      return node.min === 0 || isNullable(node.body);
    case 'atomic':
      return isNullable(node.body);
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
      return (!node.isLazy || node.max === 0) && isEmptyLast(node.body);
    case 'atomic':
      return isEmptyLast(node.body);
  }
}
