import type { Fields } from '../fields.ts';
import { BYTE_CHARACTERS } from './characters.ts';
import { build } from './component.ts';
import { pattern } from './pattern.ts';

/** Turns tokens back into parts of a text, which are then joined. */
export type Decoder = (tokens: readonly string[]) => readonly string[];

/** The `decoder` of a tokenizer.json as a function; without one, tokens are joined with spaces. */
export function buildDecoder(config: unknown): Decoder {
  return config === null || config === undefined ? tokens => [tokens.join(' ')] : build(config, 'decoder', kinds);
}

/** Takes back the spaces that word-based decoding puts before English punctuation and contractions. */
export function cleanUp(value: string): string {
  return value.replace(/ ([.?!,]|n't|'m|'s|'ve|'re)/g, '$1').replaceAll(" ' ", "'");
}

const kinds: Record<string, (config: Fields) => Decoder> = {
  WordPiece: config => {
    const prefix = config.text('prefix', '##');
    const clean = config.flag('cleanup', true) ? cleanUp : (value: string) => value;
    return tokens =>
      tokens.map((token, i) => {
        if (i === 0) return clean(token);
        return clean(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
      });
  },
  ByteLevel: () => decodeByteLevel,
  Metaspace: config => {
    const replacement = config.text('replacement', '\u2581');
    const atStart = config.json.prepend_scheme === 'never' || config.json.add_prefix_space === false ? ' ' : '';
    return tokens => tokens.map((token, i) => token.replaceAll(replacement, i === 0 ? atStart : ' '));
  },
  BPEDecoder: config => {
    const suffix = config.text('suffix', '</w>');
    return tokens => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '));
  },
  ByteFallback: () => decodeByteFallback,
  Fuse: () => tokens => [tokens.join('')],
  Strip: config => {
    const content = config.text('content');
    const [start, stop] = [config.integer('start'), config.integer('stop')];
    return tokens =>
      tokens.map(token => {
        const characters = [...token];
        let [first, end] = [0, characters.length];
        while (first < start && characters[first] === content) first++;
        while (end > first && characters.length - end < stop && characters[end - 1] === content) end--;
        return characters.slice(first, end).join('');
      });
  },
  Replace: config => {
    const from = pattern(config.json.pattern, 'decoder.pattern');
    const content = config.text('content');
    return tokens => tokens.map(token => token.replace(from, () => content));
  },
  Sequence: config => {
    const parts = config.list('decoders').map(buildDecoder);
    return tokens => parts.reduce((decoded, decode) => decode(decoded), tokens);
  },
};

const byteOf = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function decodeByteLevel(tokens: readonly string[]): string[] {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap(token => {
    const own = Array.from(token, character => byteOf.get(character));
    return own.includes(undefined) ? [...encoder.encode(token)] : (own as number[]);
  });
  return [new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
}

/** Runs of "<0xE2>" become the characters that their bytes encode, or one U+FFFD each where they encode none. */
function decodeByteFallback(tokens: readonly string[]): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decoded: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      decoded.push(decoder.decode(Uint8Array.from(bytes)));
    } catch {
      decoded.push(...bytes.map(() => '\ufffd'));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    if (byte !== null) bytes.push(Number.parseInt(byte[1]!, 16));
    else {
      flush();
      decoded.push(token);
    }
  }
  flush();
  return decoded;
}
