import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TextTokenizer } from '../src/text/text-tokenizer.ts';

interface Case {
  text: string;
  pair?: string;
  ids: number[];
  offsets: number[];
  decoded: string;
}
/** What tests/fixtures/tools/tokenizer_components.py writes. */
interface Golden {
  json: unknown;
  cases: Case[];
  /** Where the pieces of a text of all code points from the first to the last begin. */
  scripts?: { codePoints: [first: number, last: number]; starts: number[] }[];
}

const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
const { charsmap } = read('./fixtures/text/rust-goldens.json') as { charsmap: string };
const withCharsmap = (json: unknown): unknown =>
  JSON.parse(JSON.stringify(json).replace('"CHARSMAP"', `"${charsmap}"`));

/** WEBGPU_BERT_COMPONENTS names a folder of such files, of many random texts. */
const folder = process.env.WEBGPU_BERT_COMPONENTS ?? './fixtures';

describe.each(['tokenizer-components', 'tokenizer-shapes'])('%s: ids, offsets and decoded texts are Rust’s', file => {
  const goldens = read(`${folder}/${file}.json`) as Record<string, Golden>;

  it.each(Object.keys(goldens))('%s', name => {
    const { json, cases, scripts = [] } = goldens[name]!;
    const tokenizer = new TextTokenizer(withCharsmap(json), {});
    expect(cases.length).toBeGreaterThan(8);
    for (const { text, pair, ids, offsets, decoded } of cases) {
      const encoding = tokenizer.encode(text, { pair });
      const label = JSON.stringify([text, pair]);
      expect(encoding.ids, label).toEqual(ids);
      expect(encoding.offsets.flat(), label).toEqual(offsets);
      expect(tokenizer.decode(ids), label).toBe(decoded);
    }
    for (const { codePoints, starts } of scripts) {
      const [first, last] = codePoints;
      const text = String.fromCodePoint(...Array.from({ length: last - first + 1 }, (_, i) => first + i));
      expect(tokenizer.encode(text).offsets.map(([start]) => start)).toEqual(starts);
    }
  });
});
