import type { Fields } from '../json.ts';
import { BYTE_CHARACTERS, utf8 } from './characters.ts';
import { build, inTurn } from './component.ts';
import { pattern } from './split.ts';

/** Turns tokens back into parts of a text, which are then joined. */
export type Decoder = (tokens: readonly string[]) => readonly string[];

/** The `decoder` of a tokenizer.json as a function; without one, tokens are joined with spaces. */
export function buildDecoder(config: unknown): Decoder {
  return build(config, 'decoder', kinds, tokens => [tokens.join(' ')]);
}

/** Takes back the spaces that word-based decoding puts before English punctuation and contractions. */
export function cleanUp(value: string): string {
  return value.replace(/ ([.?!,]|n't|'m|'s|'ve|'re)/g, '$1').replaceAll(" ' ", "'");
}

/** Decodes tokens one by one. */
const each =
  (decode: (token: string, index: number, tokens: readonly string[]) => string): Decoder =>
  tokens =>
    tokens.map(decode);

const kinds: Record<string, (config: Fields) => Decoder> = {
  WordPiece: config => {
    const prefix = config.text('prefix', '##');
    const clean = config.flag('cleanup', true) ? cleanUp : (value: string) => value;
    return each((token, i) => {
      if (i === 0) return clean(token);
      return clean(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
    });
  },
  ByteLevel: () => decodeByteLevel,
  Metaspace: config => {
    const replacement = config.text('replacement', '\u2581');
    const atStart = config.json.prepend_scheme === 'never' || config.json.add_prefix_space === false ? ' ' : '';
    return each((token, i) => token.replaceAll(replacement, i === 0 ? atStart : ' '));
  },
  BPEDecoder: config => {
    const suffix = config.text('suffix', '</w>');
    return each((token, i, { length }) => token.replaceAll(suffix, i === length - 1 ? '' : ' '));
  },
  ByteFallback: () => decodeByteFallback,
  Fuse: () => tokens => [tokens.join('')],
  Strip: config => {
    const content = config.text('content');
    const [most, mostAtEnd] = [config.integer('start'), config.integer('stop')];
    return each(token => {
      let [start, end] = [0, token.length];
      if (content === '') return token;
      for (let i = 0; i < most && token.startsWith(content, start); i++) start += content.length;
      for (let i = 0; i < mostAtEnd && end - content.length >= start && token.endsWith(content, end); i++) {
        end -= content.length;
      }
      return token.slice(start, end);
    });
  },
  Replace: config => {
    const from = pattern(config);
    const content = config.text('content');
    return each(token => {
      const parts: string[] = [];
      let done = 0;
      for (const [start, end] of from(token)) {
        parts.push(token.slice(done, start), content);
        done = end;
      }
      return parts.join('') + token.slice(done);
    });
  },
  Sequence: config => inTurn(config.list('decoders').map(buildDecoder)),
};

const byteOf = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function decodeByteLevel(tokens: readonly string[]): string[] {
  const bytes = tokens.flatMap(token => {
    const own = Array.from(token, character => byteOf.get(character));
    return own.includes(undefined) ? [...utf8(token)] : (own as number[]);
  });
  return [new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
}

/** Runs of "<0xE2>" become the characters that their bytes encode, or one U+FFFD each where they encode none. */
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
