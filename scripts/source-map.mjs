/** Source maps, whose mappings are base64 VLQ: https://tc39.es/ecma426/ */

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * One segment: its place in the generated code, counted from the start of the file, and the numbers for source, line, column and
 * name, absolute; none where the code has no source.
 * @typedef {{ at: number, origin: number[] }} Segment
 */

/** Where every line of a text begins. @param {string} code */
function lineStarts(code) {
  const starts = [0];
  for (let end = code.indexOf('\n'); end >= 0; end = code.indexOf('\n', end + 1)) starts.push(end + 1);
  return starts;
}

/** @param {string} code @param {string} mappings @returns {Segment[]} */
export function decode(code, mappings) {
  const starts = lineStarts(code);
  const last = [0, 0, 0, 0];
  return mappings.split(';').flatMap((row, line) => {
    let column = 0;
    return row.split(',').flatMap(segment => {
      if (!segment) return [];
      const numbers = [0];
      let shift = 0;
      for (const digit of segment) {
        const value = digits.indexOf(digit);
        numbers.push(/** @type {number} */ (numbers.pop()) | ((value & 31) << shift));
        shift += 5;
        if (value >= 32) continue;
        numbers.push(0);
        shift = 0;
      }
      const [columns = 0, ...steps] = numbers.slice(0, -1).map(value => (value & 1 ? -(value >> 1) : value >> 1));
      column += columns;
      steps.forEach((step, i) => {
        last[i] = (last[i] ?? 0) + step;
      });
      return [{ at: (starts[line] ?? 0) + column, origin: last.slice(0, steps.length) }];
    });
  });
}

/** @param {number} value */
function vlq(value) {
  let left = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = '';
  do {
    const digit = left & 31;
    left >>>= 5;
    text += digits[left ? digit | 32 : digit];
  } while (left);
  return text;
}

/** @param {string} code @param {readonly Segment[]} segments in the order of their places @returns {string} */
export function encode(code, segments) {
  const last = [0, 0, 0, 0];
  let next = 0;
  const starts = lineStarts(code);
  const rows = starts.map((start, line) => {
    const end = starts[line + 1] ?? code.length + 1;
    let column = 0;
    const row = [];
    for (; next < segments.length; next++) {
      const { at, origin } = /** @type {Segment} */ (segments[next]);
      if (at >= end) break;
      const steps = origin.map((value, i) => value - (last[i] ?? 0));
      row.push([at - start - column, ...steps].map(vlq).join(''));
      column = at - start;
      origin.forEach((value, i) => {
        last[i] = value;
      });
    }
    return row.join(',');
  });
  return rows.join(';');
}
