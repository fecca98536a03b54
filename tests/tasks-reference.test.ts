import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { type AggregationStrategy, type Entity, mergeEntities } from '../src/tasks/entities.ts';
import { candidates, type FillMaskOptions, fillMask, fillMaskOptions, maskPlaces } from '../src/tasks/fill-mask.ts';
import { columnRanges, type Precision, quantizeEmbeddings } from '../src/tasks/precision.ts';
import {
  type Answer,
  type AnswerWindow,
  answerOptions,
  answerQuestion,
  type QuestionAnsweringOptions,
} from '../src/tasks/question-answering.ts';
import {
  type Classification,
  classificationOptions,
  classify,
  type TextClassificationOptions,
} from '../src/tasks/text-classification.ts';
import { classifyTokens, tokenClassificationOptions } from '../src/tasks/token-classification.ts';
import {
  candidateLabels,
  entailmentIds,
  type ZeroShotOptions,
  type ZeroShotResult,
  zeroShot,
  zeroShotOptions,
} from '../src/tasks/zero-shot-classification.ts';
import { buildDecoder } from '../src/text/decoder.ts';
import type { Encoding } from '../src/text/encoding.ts';

// Logits and answers of the Python pipelines on small random models, and the answers that follow from the logits here.
function fixture<Case>(name: string): { cases: Case[] } {
  return JSON.parse(readFileSync(new URL(`./fixtures/tasks/${name}.json`, import.meta.url), 'utf8'));
}

function tokenizerOf(model: string) {
  const family = model.replace(/-(token|qa|masked-lm)$/, '');
  const file = JSON.parse(readFileSync(new URL(`./fixtures/text/${family}.json`, import.meta.url), 'utf8'));
  const decoder = buildDecoder(file.tokenizer.decoder);
  return {
    tokenizer: new PreTrainedTokenizer(file.tokenizer, file.config),
    join: (tokens: readonly string[]) => decoder(tokens).join(''),
  };
}

/** The same answers: strings and places are equal, numbers within 2e-6 (the logits are kept in six digits at least). */
function expectSame(actual: unknown, expected: unknown, where: string): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    expect(Math.abs(actual - expected), `${where}: ${actual} is not ${expected}`).toBeLessThan(2e-6);
  } else if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
    expect(Object.keys(actual).sort(), where).toEqual(Object.keys(expected).sort());
    for (const [key, value] of Object.entries(expected)) {
      expectSame((actual as Record<string, unknown>)[key], value, `${where}.${key}`);
    }
  } else expect(actual, where).toBe(expected);
}

interface TokenCase {
  model: string;
  text: string;
  unk: number;
  prefix: boolean;
  labels: string[];
  windows: { encoding: Encoding; logits: number[] }[];
  answers: Record<string, Entity[]>;
  ignoring: Entity[];
}

test.each(fixture<TokenCase>('token-classification').cases)('token-classification: $model, "$text"', found => {
  const { join } = tokenizerOf(found.model);
  const model = { labels: found.labels, unkId: found.unk, marksSubwords: found.prefix, join };
  const entities = (options: { strategy: AggregationStrategy; ignored: string[] }) => {
    const lists = found.windows.map(({ encoding, logits }) =>
      classifyTokens({ text: found.text, encoding, logits: Float64Array.from(logits) }, model, options),
    );
    return lists.length === 1 ? lists[0]! : mergeEntities(lists);
  };
  for (const [strategy, expected] of Object.entries(found.answers)) {
    const options = tokenClassificationOptions({ aggregation_strategy: strategy as AggregationStrategy });
    expectSame(entities(options), expected, strategy);
  }
  const ignoring = tokenClassificationOptions({ aggregation_strategy: 'simple', ignore_labels: ['LOC'] });
  expectSame(entities(ignoring), found.ignoring, 'ignoring LOC');
});

interface AnswerCase {
  model: string;
  question: string;
  context: string;
  cls: number;
  windows: { encoding: AnswerWindow['encoding']; start: number[]; end: number[] }[];
  answers: { options: QuestionAnsweringOptions; answer: Answer[] }[];
}

test.each(fixture<AnswerCase>('question-answering').cases)('question-answering: $model, "$question"', found => {
  const windows = found.windows.map(({ encoding, start, end }) => ({
    encoding,
    startLogits: start,
    endLogits: end,
  }));
  for (const { options, answer } of found.answers) {
    const actual = answerQuestion({ context: found.context, windows, clsId: found.cls }, answerOptions(options, 64));
    // Where there are fewer spans than Python asks for, it fills up with cells of its L x L table that are no spans (an
    // end before the start, [CLS]), all with a score of 0.
    const spans = answer.filter(({ score }) => score > 0);
    expect(spans.length).toBeGreaterThan(0);
    expectSame(actual, spans, JSON.stringify(options));
  }
});

interface MaskCase {
  model: string;
  text: string;
  ids: number[];
  mask: number;
  pad: number;
  logits: number[][];
  targets: string[];
  targetIds: number[];
  answers: { options: FillMaskOptions; answer: unknown }[];
}

test.each(fixture<MaskCase>('fill-mask').cases)('fill-mask: $model, "$text"', found => {
  const { tokenizer } = tokenizerOf(found.model);
  const { text } = tokenizer;
  const encode = (value: string) => text.encode(value, { addSpecialTokens: false }).ids;
  const ofOptions = (options: FillMaskOptions) => fillMaskOptions(options, token => text.tokenToId(token), encode);
  expect(ofOptions({ targets: found.targets }).targets).toEqual(found.targetIds);
  const places = maskPlaces(found.ids, { id: found.mask, token: tokenizer.mask_token! });
  expect(places).toHaveLength(found.logits.length);
  for (const { options, answer } of found.answers) {
    const masks = found.logits.map((logits, i) => ({
      place: places[i]!,
      candidates: candidates(logits, ofOptions(options)),
    }));
    const decode = (ids: readonly number[], { skip_special_tokens }: { skip_special_tokens: boolean }) =>
      tokenizer.decode([...ids], { skip_special_tokens, clean_up_tokenization_spaces: false });
    expectSame(fillMask(found.ids, masks, { decode, padId: found.pad }), answer, JSON.stringify(options));
  }
});

interface ClassificationCase {
  model: string;
  text: string;
  logits: number[];
  labels: string[];
  problem: string | null;
  answers: { options: TextClassificationOptions; answer: Classification[] }[];
}

test.each(fixture<ClassificationCase>('text-classification').cases)('text-classification: $model, "$text"', found => {
  for (const { options, answer } of found.answers) {
    const resolved = classificationOptions(options, found.problem, found.labels.length);
    expectSame(classify(found.logits, found.labels, resolved), answer, JSON.stringify(options));
  }
});

interface ZeroShotCase {
  label2id: Record<string, number>;
  text: string;
  labels: string | string[];
  options: ZeroShotOptions;
  logits: number[][];
  answer: ZeroShotResult;
}

test.each(fixture<ZeroShotCase>('zero-shot-classification').cases)('zero-shot-classification: $labels', found => {
  const labels = candidateLabels(found.labels);
  const { hypotheses, multiLabel } = zeroShotOptions(labels, found.options);
  expect(hypotheses).toHaveLength(found.logits.length);
  const ids = entailmentIds(found.label2id, ['LABEL_0', 'LABEL_1', 'LABEL_2']);
  expectSame(
    zeroShot({ sequence: found.text, labels, logits: found.logits }, { ...ids, multiLabel }),
    found.answer,
    'answer',
  );
});

interface QuantizationFixture {
  columns: number;
  embeddings: number[];
  ranges: number[];
  calibration: number[];
  cases: { precision: Precision; ranges: 'own' | 'given' | 'calibration'; answer: number[][] }[];
}

const quantization = fixture('quantization') as unknown as QuantizationFixture;

test.each(quantization.cases)('quantize_embeddings: $precision, ranges $ranges', ({ precision, ranges, answer }) => {
  const { columns, embeddings, calibration } = quantization;
  const given = Float32Array.from(quantization.ranges);
  const of = {
    own: undefined,
    given: { lowest: given.subarray(0, columns), highest: given.subarray(columns) },
    calibration: columnRanges(Float32Array.from(calibration), columns),
  }[ranges];
  const actual = quantizeEmbeddings(Float32Array.from(embeddings), columns, { precision, ranges: of });
  expect(actual.columns).toBe(answer[0]!.length);
  expect([...actual.data]).toEqual(answer.flat());
});
