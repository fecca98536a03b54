import type { Encoding } from '../text/index.ts';
import { listOf, string } from './arguments.ts';

/** A text that was passed as a list of words. */
export interface WordedText {
  readonly words: readonly string[];
  /** The words with the delimiter between them. */
  readonly text: string;
  /** Where each word begins in the text, in UTF-16 units. */
  readonly starts: readonly number[];
}

/** One list of words or several -> the text of each. `delimiter` default: a space. Throws InputError for what is no list of words. */
export function wordedTexts(texts: unknown, options: { delimiter?: string | undefined }): WordedText[] {
  const delimiter = string('delimiter', options.delimiter ?? ' ');
  const isBatch = Array.isArray(texts) && texts.length > 0 && texts.every(Array.isArray);
  const lists: readonly unknown[] = isBatch ? texts : [texts];
  return lists.map((list, i) => {
    const words = listOf(isBatch ? `the words of text ${i}` : 'the words', list, string);
    let end = 0;
    const starts = words.map(word => {
      const start = end;
      end += word.length + delimiter.length;
      return start;
    });
    return { words, text: words.join(delimiter), starts };
  });
}

/** The encoding of a list of words, with its offsets moved: from places in each word to places in the text. */
export function inText<E extends Pick<Encoding, 'offsets' | 'wordIds'>>(encoding: E, { starts }: WordedText): E {
  const offsets = encoding.offsets.map(([start, end], i): [number, number] => {
    const word = encoding.wordIds[i] ?? null;
    const wordStart = word === null ? 0 : starts[word]!;
    return [wordStart + start, wordStart + end];
  });
  return { ...encoding, offsets };
}
