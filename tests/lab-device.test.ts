import { describe, expect, test } from 'vitest';
import type { FeatureExtractionPipeline } from 'webgpu-bert';
import { measure, STEPS, textOfTokens, throughputWorkload, WORKLOADS } from '../examples/lab/tabs/device/benchmark.ts';
import { jsonOf, markdownOf, perSecond, type Report } from '../examples/lab/tabs/device/report.ts';
import { spreadOf } from '../examples/lab/tabs/device/spread.ts';

test('the median and quartiles are those of numpy', () => {
  // np.quantile([3, 1, 4, 1, 5, 9], [0.25, 0.5, 0.75]) = [1.5, 3.5, 4.75]
  expect(spreadOf([3, 1, 4, 1, 5, 9])).toEqual({ calls: 6, lower: 1.5, median: 3.5, upper: 4.75, least: 1 });
  expect(spreadOf([7])).toEqual({ calls: 1, lower: 7, median: 7, upper: 7, least: 7 });
  expect(() => spreadOf([])).toThrow('nothing');
});

/** A pipeline with a token for each word, or so many for longer ones than "a", and two special ones. */
function extractorOf(isDisposed: { value: boolean }, wordTokens = 1): FeatureExtractionPipeline {
  const lengthOf = (text: string) => text.split(' ').reduce((sum, word) => sum + (word === 'a' ? 1 : wordTokens), 2);
  const call = async (texts: readonly string[]) => ({ tokens: texts.map(lengthOf) });
  const extractor = Object.assign(call, {
    tokenizer: { encode: (text: string) => Array.from({ length: lengthOf(text) }, () => 1) },
    model: { bytes: async () => ({ weights: 100e6, activations: 5e6 }) },
    dispose: async () => {
      isDisposed.value = true;
    },
  });
  return extractor as unknown as FeatureExtractionPipeline;
}

describe('measuring', () => {
  test('runs texts of as many tokens as it says, and gives the model back', async () => {
    const isDisposed = { value: false };
    const steps: string[] = [];
    const { signal } = new AbortController();
    const result = await measure('fp32', async () => extractorOf(isDisposed), {
      throughput: { name: 'Many texts', texts: 8, tokens: 64 },
      signal,
      onStep: words => steps.push(words),
    });
    expect(result.measured.map(({ tokens }) => tokens)).toEqual([16, 256, 128, 512]);
    expect(result.measured.every(({ ms }) => ms.calls >= 3)).toBe(true);
    expect(steps.length).toBe(STEPS);
    expect(isDisposed.value).toBe(true);
  });

  test('that is stopped gives the model back', async () => {
    const isDisposed = { value: false };
    const stop = new AbortController();
    const onStep = (words: string) => words.includes('×') && stop.abort(new Error('stopped'));
    const done = measure('fp32', async () => extractorOf(isDisposed), { signal: stop.signal, onStep });
    await expect(done).rejects.toThrow('stopped');
    expect(isDisposed.value).toBe(true);
  });

  test('takes fewer texts for the throughput where a call would take long', () => {
    const at = (tokensPerMs: number) =>
      throughputWorkload(WORKLOADS.map(workload => ({ workload, tokens: 1_000 * tokensPerMs, ms: spreadOf([1_000]) })));
    expect([100, 1, 0.3, 0.01].map(rate => at(rate).texts)).toEqual([64, 16, 8, 4]);
  });

  test('a text has the tokens that are asked for', () => {
    const extractor = extractorOf({ value: false });
    expect(textOfTokens(extractor, 16).split(' ').length).toBe(14);
    expect(textOfTokens(extractor, 1)).toBe('time');
    expect(textOfTokens(extractorOf({ value: false }, 4), 16)).toBe('time people water a a');
  });
});

test('the report says what was measured, and what was not', () => {
  const measured = WORKLOADS.map((workload, i) => ({
    workload,
    tokens: workload.texts * workload.tokens,
    ms: spreadOf([10 * (i + 1), 12 * (i + 1), 14 * (i + 1)]),
  }));
  const report: Report = {
    model: 'owner/model',
    date: '2026-01-02T03:04:05.000Z',
    device: {
      adapter: { vendor: 'acme', architecture: 'a1' },
      features: ['shader-f16'],
      limits: { maxBufferSize: 1024 },
      browser: 'Browser 1',
      cores: 8,
    },
    results: [{ dtype: 'fp32', loadMs: 1234.5, measured, bytes: { weights: 90e6, activations: 1e6 } }],
    failures: [{ dtype: 'fp16', reason: 'no halves here' }],
  };
  const markdown = markdownOf(report);
  expect(markdown).toContain('- GPU: acme, a1\n- Features: shader-f16\n- Limits: maxBufferSize 1024\n');
  expect(markdown).toContain('|  | fp32 |\n| --- | ---: |\n| load, files at hand | 1235 ms |');
  expect(markdown).toContain('| 1 × 16 tokens | 12.0 ms (11.0 to 13.0) |');
  expect(markdown).toContain(`| tokens per second | ${Math.round(perSecond(measured.at(-1)!))} |`);
  expect(markdown).toContain('- fp16 was not measured: no halves here\n');
  expect(JSON.parse(jsonOf(report))).toEqual(report);
});
