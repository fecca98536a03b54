import type { Syntax } from '../src/text/pattern/syntax.ts';

/** A pattern as a regular expression of JavaScript, whose own machine is the reference for ours. Flags: g and v. */
export function regExpOf(pattern: Syntax): RegExp {
  let atomics = 0;
  const source = (node: Syntax): string => {
    switch (node.kind) {
      case 'class':
        return node.source;
      case 'sequence':
        return node.parts.map(source).join('');
      case 'choice':
        return `(?:${node.options.map(source).join('|')})`;
      case 'repeat': {
        const max = node.max === Number.POSITIVE_INFINITY ? '' : node.max;
        return `(?:${source(node.body)}){${node.min},${max}}${node.isLazy ? '?' : ''}`;
      }
      case 'look':
        return `(?${node.isBehind ? '<' : ''}${node.isNegative ? '!' : '='}${source(node.body)})`;
      case 'atomic': {
        // A lookahead is not entered again, and a reference to what it took takes the same.
        const name = `atomic${atomics++}`;
        return `(?=(?<${name}>${source(node.body)}))\\k<${name}>`;
      }
    }
  };
  return new RegExp(source(pattern), 'gv');
}
