/** Thirty-two texts of 5 to 128 tokens, in no order. */
const ragged = Array.from({ length: 32 }, (_, i) => 5 + Math.round((((i * 11) % 32) * 123) / 31));

/** Twelve texts of 5 to 64 tokens, in no order. */
const short = [37, 5, 64, 12, 23, 9, 51, 16, 30, 7, 44, 19];

/** The calls that are timed: their names, and how many tokens each of their texts has. */
export const lists = {
  '1x16': [16],
  '1x128': [128],
  '8x32': Array(8).fill(32),
  'ragged 12': short,
  'ragged 32': ragged,
};

/** @param {number} value @param {number} [digits] */
export const round = (value, digits = 1) => Number(value.toFixed(digits));

/** Four figures at most, so that nothing looks more precise than it is. @param {number} value */
export const figure = value => (value >= 1000 ? Math.round(value).toString() : Number(value.toPrecision(3)).toString());
