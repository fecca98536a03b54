/** A load of a model up to the GPU: config.json -> plan, headers -> matched tensors, tokenizer -> ids. */
import type { Format } from '../../shaders/matrix.ts';
import { env } from '../../src/api/env.ts';
import { loadTokenizer } from '../../src/api/loading.ts';
import { openCheckpoint } from '../../src/checkpoint/file/checkpoint.ts';
import { matchTensors } from '../../src/checkpoint/file/match.ts';
import { tensorFinder } from '../../src/checkpoint/file/names.ts';
import type { Checkpoint } from '../../src/checkpoint/file/types.ts';
import { openSource } from '../../src/checkpoint/source/source.ts';
import { openSentence } from '../../src/engine/sentence-files.ts';
import { WebGPUBertError } from '../../src/errors.ts';
import { readConfig } from '../../src/model/config.ts';

import { encoderGraph, hasPooler } from '../../src/model/encoder.ts';

import type { EncoderConfig } from '../../src/model/encoder-config.ts';
import type { HeadKind } from '../../src/model/head-kind.ts';
import { checkSequence } from '../../src/model/input.ts';
import { labelNames } from '../../src/model/labels.ts';
import { preparationsOf } from '../../src/model/preparation.ts';
import type { EncoderRequest } from '../../src/model/request.ts';
import { packBatch } from '../../src/plan/batch.ts';
import type { Caps } from '../../src/plan/caps.ts';
import { kernelsOf, plan } from '../../src/plan/plan.ts';
import type { Encoding } from '../../src/text/encoding.ts';

export type Files = Readonly<Record<string, Uint8Array>>;

/** How a model is loaded. */
export interface Way {
  readonly caps: Caps;
  readonly format: Format | undefined;
  readonly head: HeadKind | undefined;
}

/** Short; of several scripts; with marks, special tokens, and what no text should have. */
const TEXTS: readonly (readonly [text: string, pair?: string])[] = [
  ['The quick brown fox, jumps!'],
  ['Tōkyō 東京 e\u0301\u0327 \ud83d\ude00 [MASK] <mask> </s>', 'a pair\u00a0of \ufeff texts'],
  ['', 'x'.repeat(120)],
  ['\ud800 lone\u0000 \t\n ﬁ ＡＢＣ ǅ İ'],
];

/** What a load came to: the same for loads that mean the same. Throws a WebGPUBertError, or an Error where a promise is broken. */
export async function load(files: Files, { caps, format, head }: Way): Promise<string> {
  const source = openSource(files, {}, env);
  const sentence = openSentence(source);
  const config = readConfig(await source.json('config.json'));
  const first: EncoderRequest = head ? { head: { kind: head } } : { pool: { pooling: 'mean', normalize: true } };
  kernelsOf(plan(encoderGraph(config, first), { caps, format }).steps);
  const checkpoint = await openCheckpoint(source);
  const find = tensorFinder(checkpoint, config);
  const pooler = hasPooler(config, find);
  const everything = { lastHiddenState: true, pooler, ...(head && { head: { kind: head } }) };
  const made = plan(encoderGraph(config, everything), { caps, format });
  const preparations = preparationsOf(config);
  const prepared = new Set(preparations.flatMap(({ tensors }) => tensors.map(({ tensor }) => tensor)));
  const plans = [made, ...preparations.map(({ graph }) => plan(graph, { caps, format }))];
  const wanted = plans
    .flatMap(({ weights }) => weights.flatMap(({ parts }) => parts))
    .filter(({ tensor }) => !prepared.has(tensor));
  const matched = matchTensors(wanted, find);
  const shapes = new Map(wanted.map(({ tensor, shape }) => [tensor, shape]));
  for (const [name, served] of matched) {
    const { byteLength, byteOffset } = checkpoint.tensors.get(name)!;
    must(byteOffset + byteLength <= checkpoint.byteLength, `${name} ends past the end`);
    for (const [canonical, { shape }] of served) {
      must(String(shape) === String(shapes.get(canonical)), `${name} has not the shape of ${canonical}`);
      shapes.delete(canonical);
    }
  }
  must(shapes.size === 0, `no tensor for ${[...shapes.keys()].slice(0, 3)}`);
  await readAll(checkpoint);
  const names = typed(() => labelNames(config).join());
  const tokenizer = await loadTokenizer(source);
  const encodings = TEXTS.map(([text, pair]) =>
    typed(() => {
      const encoding = tokenizer.text.encode(text, { pair, maxLength: Math.min(64, config.maxPositions) });
      check(encoding, [text, pair]);
      must(tokenizer.text.decode(encoding.ids).length >= 0, 'no text');
      return `${encoding.ids}|${encoding.tokens}|${encoding.offsets}|${packed(config, encoding, made.queryTile)}`;
    }),
  );
  const tensors = [...matched].map(([name, served]) => [name, ...served.keys()].join('=')).sort();
  const { raw: _, ...read } = config;
  const said = JSON.stringify([read, await sentence.folder, await sentence.settings, await sentence.modules]);
  return [said, ...tensors, names, ...encodings].join('\n');
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`broken promise: ${what}`);
}

/** What a function gives, or the class of its typed error. */
function typed(body: () => string): string {
  try {
    return body();
  } catch (error) {
    if (error instanceof WebGPUBertError) return error.name;
    throw error;
  }
}

/** Every tensor comes whole, once, in order. */
async function readAll(checkpoint: Checkpoint): Promise<void> {
  const seen = new Map<string, number>();
  for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
    must(begin === (seen.get(tensor.name) ?? 0), `a chunk of ${tensor.name} out of order`);
    seen.set(tensor.name, begin + bytes.length);
  }
  for (const { name, byteLength } of checkpoint.tensors.values()) {
    must((seen.get(name) ?? 0) === byteLength, `${name} did not come whole`);
  }
}

function check(encoding: Encoding, texts: readonly (string | undefined)[]): void {
  const { ids, typeIds, tokens, offsets, specialTokensMask, sequenceIds, wordIds } = encoding;
  for (const list of [typeIds, tokens, offsets, specialTokensMask, sequenceIds, wordIds]) {
    must(list.length === ids.length, 'lists of several lengths');
  }
  for (const [i, id] of ids.entries()) {
    must(Number.isSafeInteger(id) && id >= 0, `the id ${id}`);
    must(typeof tokens[i] === 'string', `the token ${tokens[i]}`);
    const [start, end] = offsets[i]!;
    const text = texts[sequenceIds[i] ?? 0] ?? '';
    must(start >= 0 && start <= end && end <= text.length, `the offsets ${start} to ${end} of ${text.length}`);
  }
}

/** The sequence as a pass takes it, where it is one of the model's: every id, type and position is a row of its table. */
function packed(config: EncoderConfig, { ids, typeIds }: Encoding, queryTile: number): string {
  const sequence = checkSequence(config, { ids, types: typeIds });
  const rows = (list: ArrayLike<number>, limit: number) => Array.from(list).every(i => i >= 0 && i < limit);
  must(rows(sequence.ids, config.vocabSize), 'an id past the table');
  must(rows(sequence.positions, config.maxPositions + config.positionOffset), 'a position past the table');
  must(config.typeVocabSize === 0 || rows(sequence.types, config.typeVocabSize), 'a type past the table');
  packBatch([sequence], queryTile);
  return String(sequence.positions);
}
