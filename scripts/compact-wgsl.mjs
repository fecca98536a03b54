/**
 * Takes indentation, blank lines and comments out of wgsl`…` templates at build: they are text, which a minifier leaves
 * alone. A comment with `#` in it stays, for wgsl-preprocessor reads directives there too.
 * @returns {import('vite').Plugin}
 */
export function compactWgsl() {
  return {
    name: 'compact-wgsl',
    apply: 'build',
    transform(code, id) {
      if (!/\/shaders\/[^?]*\.ts$/.test(id.replaceAll('\\', '/')) || !code.includes('wgsl`')) return null;
      /** @type {{ start: number, end: number, isFirst: boolean }[]} */
      const texts = [];
      visit(this.parse(code), node => {
        if (node.type !== 'TaggedTemplateExpression' || node.tag.name !== 'wgsl') return;
        const { quasis } = node.quasi;
        quasis.forEach((/** @type {Node} */ { start, end }, /** @type {number} */ index) => {
          texts.push({ start, end, isFirst: index === 0 });
        });
      });
      let result = code;
      for (const { start, end, isFirst } of texts.sort((a, b) => b.start - a.start)) {
        result = result.slice(0, start) + compact(code.slice(start, end), isFirst) + result.slice(end);
      }
      return { code: result, map: null };
    },
  };
}

/** @typedef {Record<string, any> & { type: string, start: number, end: number }} Node */

/** @param {unknown} value @param {(node: Node) => void} see */
function visit(value, see) {
  if (Array.isArray(value)) for (const item of value) visit(item, see);
  if (value === null || typeof value !== 'object') return;
  if ('type' in value && typeof value.type === 'string') see(/** @type {Node} */ (value));
  if (!Array.isArray(value)) for (const item of Object.values(value)) visit(item, see);
}

/**
 * One piece of a template, between two `${}`. Only what lies whole inside it is changed: a last line without its line
 * break goes on behind the `${}`. Line breaks become escapes: terser loses count of its lines in a template of several.
 * @param {string} text @param {boolean} isFirst
 */
export function compact(text, isFirst) {
  const whole = text.replace(/[ \t]*\/\/[^\n#`]*(?=\n)/g, '').replace(/[ \t]*\n\s*/g, '\n');
  return (isFirst ? whole.replace(/^\s+/, '') : whole).replaceAll('\n', '\\n');
}
