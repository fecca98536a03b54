/** A text as the source of a regular expression (for the flags u and v) that matches it, in a class and outside of one. */
export const literal = (text: string) =>
  text.replace(/[!-/:-@[-`{-~]/g, mark => `\\x${mark.charCodeAt(0).toString(16)}`);
