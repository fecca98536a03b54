import type { Fields } from '../json.ts';
import { type Normalizer, transform } from './aligned-text.ts';
import { isAscii, utf8 } from './characters.ts';

/**
 * SentencePiece's precompiled_charsmap: a double-array trie from UTF-8 bytes to places in a block of replacements, each of which
 * ends with NUL. As in the Rust crate spm_precompiled, graphemes are looked up, and the shortest key at the start of one decides.
 */
export function charsmapNormalizer(config: Fields): Normalizer {
  const search = readTrie(config);
  return source => {
    const characters: string[] = [];
    const changes: number[] = [];
    let modified = false;
    const apply = (part: string): boolean => {
      const replacement = search(part);
      if (replacement === undefined) return false;
      modified = true;
      const added = [...replacement];
      const growth = added.length - [...part].length;
      for (let i = 0; i < added.length; i++) {
        characters.push(added[i]!);
        changes.push(i >= added.length - growth ? 1 : 0);
      }
      // Characters that vanish are swallowed by the one before them.
      if (growth < 0 && changes.length > 0) changes[changes.length - 1]! += growth;
      return true;
    };
    // Printable ASCII has no clusters of several characters, and the segmenter is slow.
    const graphemes = isAscii(source.text) ? source.text : graphemesOf(source.text);
    for (const grapheme of graphemes) {
      if ((grapheme.length === 1 || utf8(grapheme).length < 6) && apply(grapheme)) continue;
      for (const character of grapheme) {
        if (apply(character)) continue;
        characters.push(character);
        changes.push(0);
      }
    }
    return modified ? transform(source, characters, changes) : source;
  };
}

/** The number of UTF-16 units that are given to the segmenter at once. */
const PART_SIZE = 256;

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * The grapheme clusters of a text. Engines copy the whole input for every cluster, so the text is segmented part by part. That is
 * possible because the end of a cluster depends on nothing before its beginning, and on one character after it.
 */
function* graphemesOf(text: string): Generator<string> {
  let size = PART_SIZE;
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + size, text.length);
    // A part must not end in the middle of a character.
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end++;
    const clusters = Array.from(segmenter.segment(text.slice(start, end)), ({ segment }) => segment);
    // The last cluster may go on in the next part.
    if (end < text.length) clusters.pop();
    if (clusters.length === 0) size *= 2;
    else size = PART_SIZE;
    for (const cluster of clusters) {
      yield cluster;
      start += cluster.length;
    }
  }
}

/** A function that looks up the replacement for the shortest key that a text starts with. */
function readTrie(config: Fields): (text: string) => string | undefined {
  const key = 'precompiled_charsmap';
  const base64 = config.text(key);
  const fail = () => config.malformed(base64, 'base64 of a trie and its replacements', key);
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
  } catch {
    throw fail();
  }
  const view = new DataView(bytes.buffer);
  const trieBytes = bytes.length < 4 ? 0 : view.getUint32(0, true);
  if (trieBytes === 0 || trieBytes % 4 > 0 || 4 + trieBytes > bytes.length) throw fail();
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = bytes.subarray(4 + trieBytes);
  const decoder = new TextDecoder();
  const offset = (unit: number) => (unit >>> 10) << ((unit & 512) >>> 6);

  return text => {
    let node = offset(trie[0]!);
    for (const byte of utf8(text)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = trie[node] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offset(unit);
      if ((unit & 256) !== 0) {
        const start = (trie[node] ?? 0) & 0x7fffffff;
        const end = replacements.indexOf(0, start);
        return decoder.decode(replacements.subarray(start, end < 0 ? undefined : end));
      }
    }
    return undefined;
  };
}
