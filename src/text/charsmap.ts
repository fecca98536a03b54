import { malformed } from '../fields.ts';
import type { AlignedText } from './aligned-text.ts';

/**
 * SentencePiece's precompiled_charsmap: a double-array trie from UTF-8 bytes to places in a block of replacements that
 * end with NUL. It is read as the Rust crate spm_precompiled does: by grapheme, and the shortest key in it decides.
 */
export class Charsmap {
  private readonly trie: Uint32Array;
  private readonly replacements: Uint8Array;
  private readonly segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder();

  constructor(base64: string) {
    const fail = () => malformed('normalizer.precompiled_charsmap', base64, 'base64 of a trie and its replacements');
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
    } catch {
      throw fail();
    }
    const view = new DataView(bytes.buffer);
    const trieBytes = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (trieBytes === 0 || trieBytes % 4 > 0 || 4 + trieBytes > bytes.length) throw fail();
    this.trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.replacements = bytes.subarray(4 + trieBytes);
  }

  normalize(source: AlignedText): AlignedText {
    const characters: string[] = [];
    const changes: number[] = [];
    let modified = false;
    const apply = (part: string): boolean => {
      const replacement = this.search(part);
      if (replacement === undefined) return false;
      modified = true;
      const added = [...replacement];
      const growth = added.length - [...part].length;
      characters.push(...added);
      for (let i = 0; i < added.length; i++) changes.push(i >= added.length - growth ? 1 : 0);
      // What vanishes is swallowed by the character before it.
      if (growth < 0 && changes.length > 0) changes[changes.length - 1]! += growth;
      return true;
    };
    for (const grapheme of this.graphemes(source.text)) {
      const isShort = grapheme.length === 1 || this.encoder.encode(grapheme).length < 6;
      if (isShort && apply(grapheme)) continue;
      for (const character of grapheme) {
        if (apply(character)) continue;
        characters.push(character);
        changes.push(0);
      }
    }
    return modified ? source.transform(characters, changes) : source;
  }

  private *graphemes(text: string): Iterable<string> {
    // Printable ASCII alone has no clusters, and asking the segmenter is slow.
    if (/^[ -~]*$/.test(text)) yield* text;
    else for (const { segment } of this.segmenter.segment(text)) yield segment;
  }

  /** The replacement of the shortest key that `part` starts with. */
  private search(part: string): string | undefined {
    const offset = (unit: number) => (unit >>> 10) << ((unit & 512) >>> 6);
    let node = offset(this.trie[0]!);
    for (const byte of this.encoder.encode(part)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = this.trie[node] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offset(unit);
      if ((unit & 256) !== 0) {
        const start = (this.trie[node] ?? 0) & 0x7fffffff;
        const end = this.replacements.indexOf(0, start);
        return this.decoder.decode(this.replacements.subarray(start, end < 0 ? undefined : end));
      }
    }
    return undefined;
  }
}
