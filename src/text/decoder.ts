import type { Fields } from '../json.ts';
import { BYTE_CHARACTERS, utf8 } from './characters.ts';
import { build, inTurn } from './component.ts';
import { pattern } from './split.ts';

/** Turns tokens into parts of a text, which the caller joins. */
export type Decoder = (tokens: readonly string[]) => readonly string[];

/** The `decoder` of a tokenizer.json as a function; without one, tokens are joined with spaces. */
export function buildDecoder(config: unknown): Decoder {
  return build(config, 'decoder', DECODERS, tokens => [tokens.join(' ')]);
}

/** Removes the spaces that word-based decoding leaves before English punctuation and contractions. */
export function cleanUp(value: string): string {
  return value.replace(/ ([.?!,]|n't|'m|'s|'ve|'re)/g, '$1').replaceAll(" ' ", "'");
}

const same = (value: string) => value;

/** A decoder that decodes the tokens one by one. */
const oneByOne =
  (decode: (token: string, index: number, tokens: readonly string[]) => string): Decoder =>
  tokens =>
    tokens.map(decode);

const DECODERS: Record<string, (config: Fields) => Decoder> = {
  WordPiece: config => {
    const prefix = config.text('prefix', '##');
    const clean = config.flag('cleanup', true) ? cleanUp : same;
    return oneByOne((token, i) => {
      if (i === 0) return clean(token);
      return clean(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
    });
  },
  ByteLevel: () => decodeByteLevel,
  Metaspace: config => {
    const replacement = config.text('replacement', '\u2581');
    const atStart = config.json.prepend_scheme === 'never' || config.json.add_prefix_space === false ? ' ' : '';
    return oneByOne((token, i) => token.replaceAll(replacement, i === 0 ? atStart : ' '));
  },
  BPEDecoder: config => {
    const suffix = config.text('suffix', '</w>');
    return oneByOne((token, i, { length }) => token.replaceAll(suffix, i === length - 1 ? '' : ' '));
  },
  CTC: config => {
    const pad = config.text('pad_token');
    const delimiter = config.text('word_delimiter_token');
    const clean = config.flag('cleanup', true) ? (value: string) => cleanUp(value).replaceAll(delimiter, ' ') : same;
    return tokens =>
      tokens
        .filter((token, i) => token !== tokens[i - 1])
        .map(token => clean(token.replaceAll(pad, '')))
        .filter(token => token !== '');
  },
  ByteFallback: () => decodeByteFallback,
  Fuse: () => tokens => [tokens.join('')],
  Strip: config => {
    const content = config.text('content');
    const maxAtStart = config.integer('start');
    const maxAtEnd = config.integer('stop');
    return oneByOne(token => {
      if (content === '') return token;
      let start = 0;
      let end = token.length;
      for (let i = 0; i < maxAtStart && token.startsWith(content, start); i++) start += content.length;
      for (let i = 0; i < maxAtEnd && end - content.length >= start && token.endsWith(content, end); i++) {
        end -= content.length;
      }
      return token.slice(start, end);
    });
  },
  Replace: config => {
    const find = pattern(config);
    const content = config.text('content');
    return oneByOne(token => {
      const parts: string[] = [];
      let lastEnd = 0;
      for (const [start, end] of find(token)) {
        parts.push(token.slice(lastEnd, start), content);
        lastEnd = end;
      }
      return parts.join('') + token.slice(lastEnd);
    });
  },
  Sequence: config => inTurn(config.list('decoders').map(buildDecoder)),
};

const byteOf = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function decodeByteLevel(tokens: readonly string[]): string[] {
  const bytes = tokens.flatMap(token => {
    const characterBytes = Array.from(token, character => byteOf.get(character));
    return characterBytes.every(byte => byte !== undefined) ? characterBytes : [...utf8(token)];
  });
  return [new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
}

/** Replaces each run of tokens like "<0xE2>" by the characters that its bytes encode; if they encode none, by one U+FFFD for each byte. */
function decodeByteFallback(tokens: readonly string[]): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decoded: string[] = [];
  let bytes: number[] = [];
  for (const token of [...tokens, undefined]) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token ?? '')?.[1];
    if (byte !== undefined) {
      bytes.push(Number.parseInt(byte, 16));
      continue;
    }
    try {
      if (bytes.length > 0) decoded.push(decoder.decode(Uint8Array.from(bytes)));
    } catch {
      for (const _ of bytes) decoded.push('\ufffd');
    }
    bytes = [];
    if (token !== undefined) decoded.push(token);
  }
  return decoded;
}
