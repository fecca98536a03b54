/** Fragments of character classes (for the flag u), as the Rust tokenizers see them. */

/** Rust's char::is_whitespace; JavaScript's \s has U+FEFF and lacks U+0085. */
export const WHITESPACE = '\\p{White_Space}';

/** Unicode's punctuation and all of ASCII's, symbols included. */
export const PUNCTUATION = '\\p{P}!-\\/:-@\\[-`{-~';

/** `\w` of Rust's regex. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';

/** Whether a text has only ASCII's printable characters: most steps have a faster way for those. */
export const isAscii = (text: string) => /^[ -~]*$/.test(text);

const byteCharacters: string[] = [];
const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
for (let byte = 0, moved = 256; byte < 256; byte++) {
  byteCharacters.push(String.fromCharCode(printable(byte) ? byte : moved++));
}

/** GPT-2's printable character for each of the 256 bytes (openai/gpt-2, src/encoder.py). */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters;

/** The UTF-8 bytes of a text. */
export const utf8 = (text: string) => encoder.encode(text);
const encoder = new TextEncoder();

/** The UTF-8 bytes of a text, each as its printable character. */
export function byteLevel(text: string): string {
  let characters = '';
  for (const byte of utf8(text)) characters += BYTE_CHARACTERS[byte]!;
  return characters;
}
