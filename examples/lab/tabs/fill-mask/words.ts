import type { PreTrainedTokenizer } from 'webgpu-bert';

/** How words and the tokens of a vocabulary belong together, by what any tokenizer can say. */

/** The ways in which vocabularies write the token that stands for a missing word. */
export const MASKS = ['[MASK]', '<mask>'] as const;

/** A text with every mask written as this vocabulary writes it. */
export const withMask = (text: string, mask: string): string =>
  MASKS.reduce((sofar, other) => (other === mask ? sofar : sofar.replaceAll(other, mask)), text);

/** A token as it is written behind another word. */
export interface WrittenToken {
  readonly text: string;
  /** Whether it goes on with the word before it: "##ing". */
  readonly isContinued: boolean;
}

/** How a token is written: seen by decoding it behind a word, since vocabularies mark it in several ways. */
export function written(tokenizer: PreTrainedTokenizer, token: number): WrittenToken {
  const [word] = tokenizer.encode('a', { add_special_tokens: false });
  const decode = (ids: number[]) => tokenizer.decode(ids, { clean_up_tokenization_spaces: false });
  const before = decode([word!]);
  const behind = decode([word!, token]).slice(before.length);
  return { text: behind.trim(), isContinued: behind !== '' && !/^\s/.test(behind) };
}

/** The text with a token in the place of its mask number `place`. */
export function filled(text: string, mask: string, place: number, token: WrittenToken): string {
  const parts = text.split(mask);
  const before = parts.slice(0, place + 1).join(mask);
  const after = parts.slice(place + 1).join(mask);
  return `${token.isContinued ? before.trimEnd() : before}${token.text}${after}`;
}

/** A word to compare, and the token that stands for it. */
export interface Target {
  readonly word: string;
  readonly token: string;
  /** Whether the word is more than that token. */
  readonly isCut: boolean;
}

/** The words between commas. One that is several tokens is compared by its first, as the task does. */
export function targetsOf(words: string, tokenizer: PreTrainedTokenizer): Target[] {
  const list = words.split(',').flatMap(word => word.trim() || []);
  return [...new Set(list)].flatMap(word => {
    // Behind a space, as words of a sentence stand: byte-level vocabularies tell the two apart.
    const ids = tokenizer.encode(` ${word}`, { add_special_tokens: false });
    const token = ids.length > 0 ? tokenizer.convert_ids_to_tokens(ids[0]!) : undefined;
    return token === undefined ? [] : [{ word, token, isCut: ids.length > 1 }];
  });
}

/** Writes a mask over what is selected in a field, with a space where it would touch a word. Gives the new text. */
export function insertMask(field: HTMLTextAreaElement, mask: string): string {
  const { selectionStart: start, selectionEnd: end, value } = field;
  const space = (character: string | undefined) =>
    character !== undefined && /[\p{L}\p{N}\]>]/u.test(character) ? ' ' : '';
  const replaced = `${space(value.slice(0, start).at(-1))}${mask}${space(value[end])}`;
  field.setRangeText(replaced, start, end, 'end');
  field.focus();
  return field.value;
}
