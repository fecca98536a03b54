import type { Entity } from '../../src/index.ts';
import { hidden, LONG, load, unit, url } from '../answers.ts';
import { check, expect, expectClose, expectEqual, expectThrows } from '../harness.ts';
import { library } from '../library.ts';

/** Texts that are longer than the model takes: cut, refused, or in windows. */

const truncatedOf = (result: object): unknown => (result as { truncated?: unknown }).truncated;

check('overflow of feature-extraction: cut and said so, refused, or in windows', async log => {
  const pipe = await load('feature-extraction', url('bert-base'));
  const { InputError } = library;
  const cut = await pipe([LONG, 'a'], { pooling: 'mean' });
  expectEqual(truncatedOf(cut), [true, false], 'truncated');
  const [first] = await hidden(pipe, LONG);
  expectEqual(first!.length, 64, 'tokens of a cut text');
  const mean = (rows: readonly number[][]) =>
    rows[0]!.map((_, c) => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length);
  expectClose(cut.slice(0).data as Float32Array, mean(first!), { label: 'cut', absolute: 1e-5 });
  const error = await expectThrows(() => pipe(['a', LONG], { overflow: 'error' }), 'overflow: error');
  expect(error instanceof InputError && /64/.test(error.message), `${error}`);
  await pipe('a', { overflow: 'error' });
  for (const stride of [0, 10]) {
    const windows = await hidden(pipe, LONG, stride);
    expect(windows.length > 2, `${windows.length} windows`);
    const all = windows.flat();
    const wanted = {
      mean: mean(all),
      max: all[0]!.map((_, c) => Math.max(...all.map(row => row[c]!))),
      cls: all[0]!,
      last_token: all.at(-1)!,
    };
    for (const [pooling, row] of Object.entries(wanted) as [keyof typeof wanted, number[]][]) {
      const plain = await pipe([LONG, 'a'], { pooling, overflow: 'window', stride });
      expectEqual(
        [plain.dims, truncatedOf(plain)],
        [
          [2, row.length],
          [false, false],
        ],
        'dims, truncated',
      );
      expectClose(plain.slice(0).data as Float32Array, row, { label: `${pooling}, ${stride}`, absolute: 1e-5 });
      const normed = await pipe(LONG, { pooling, overflow: 'window', stride, normalize: true, truncate_dim: 9 });
      const short = unit(row.slice(0, 9));
      expectClose(normed.data as Float32Array, short, { label: `${pooling}, ${stride}, normalised`, absolute: 1e-5 });
    }
    log(`${windows.length} windows with a stride of ${stride}`);
  }
  const tokens = await pipe(LONG, { overflow: 'window' });
  const joined = (await hidden(pipe, LONG, 0)).flat();
  expectEqual(tokens.dims, [1, joined.length, joined[0]!.length], 'dims of tokens');
  expectClose(tokens.data as Float32Array, joined.flat(), { label: 'tokens of all windows', absolute: 1e-5 });
  await pipe.dispose();
});

check('overflow of text-classification and token-classification', async log => {
  const classifier = await load('text-classification', url('bert-sequence'));
  const cut = await classifier([LONG, 'a'], { top_k: null });
  expectEqual(truncatedOf(cut), [true, false], 'truncated');
  const windows = classifier.tokenizer.text.encodeWindows(LONG, { maxLength: 64, stride: 8 });
  const logits: number[][] = [];
  for (const { ids } of windows) {
    const out = await classifier.model({ input_ids: [ids] });
    logits.push([...(out.logits.data as Float32Array)]);
  }
  const mean = logits[0]!.map((_, i) => logits.reduce((sum, row) => sum + row[i]!, 0) / logits.length);
  const powers = mean.map(Math.exp);
  const wanted = powers.map(v => v / powers.reduce((a, b) => a + b)).sort((a, b) => b - a);
  const got = (await classifier(LONG, { top_k: null, overflow: 'window', stride: 8 })) as { score: number }[];
  expectClose(
    got.map(({ score }) => score),
    wanted,
    { label: 'scores', absolute: 1e-6 },
  );
  expectEqual(truncatedOf(got), [false], 'truncated in windows');
  const refused = await expectThrows(() => classifier(LONG, { overflow: 'error' }), 'overflow: error');
  expect(refused instanceof library.InputError, `${refused}`);
  await classifier.dispose();

  const ner = await load('token-classification', url('bert-token'));
  const short = (await ner(LONG)) as Entity[];
  expectEqual(truncatedOf(short), true, 'truncated');
  const whole = (await ner(LONG, { overflow: 'window', stride: 12, ignore_labels: [] })) as Entity[];
  expectEqual(truncatedOf(whole), false, 'truncated in windows');
  // Every token of the text once, in order, whatever the windows.
  const { offsets, specialTokensMask } = ner.tokenizer.text.encode(LONG);
  expectEqual(
    whole.map(({ start, end }) => [start, end]),
    offsets.filter((_, i) => !specialTokensMask[i]),
    'places',
  );
  const groups = (await ner(LONG, { overflow: 'window', stride: 12, aggregation_strategy: 'simple' })) as Entity[];
  groups.forEach(({ start, end }, i) => {
    expect(start < end && (i === 0 || groups[i - 1]!.end <= start), `group ${i} overlaps the one before`);
  });
  expect(groups.at(-1)!.end > short.at(-1)!.end, 'the windows find nothing past the cut');
  await ner.dispose();
  log(`${whole.length} tokens, ${groups.length} groups`);
});

check('pairs, similarity and answers say what was cut', async () => {
  const next = await load('next-sentence-prediction', url('bert-pretraining'));
  expectEqual(
    [(await next('a', 'b')).truncated, (await next('a', LONG)).truncated, (await next(LONG, 'b')).truncated],
    [false, true, true],
    'next-sentence-prediction',
  );
  expectEqual(Object.keys(await next('a', LONG)), ['label', 'score'], 'names');
  await next.dispose();
  const choose = await load('multiple-choice', url('bert-choice'));
  const choices = await choose('a', ['b', LONG, 'c']);
  expectEqual([choices.length, choices.truncated], [3, [false, true, false]], 'multiple-choice');
  expectEqual((await choose(LONG, ['b', 'c'])).truncated, [true, true], 'a text that is cut for every choice');
  await choose.dispose();
  const similar = await load('sentence-similarity', url('bert-base'));
  const cosines = await similar({ source_sentence: 'a', sentences: ['b', LONG] });
  expectEqual([cosines.length, cosines.truncated], [2, [false, true]], 'sentence-similarity');
  const all = await similar({ source_sentence: LONG, sentences: ['b', 'c'] });
  expectEqual(all.truncated, [true, true], 'a source that is cut for every score');
  await similar.dispose();
  const answer = await load('question-answering', url('bert-qa'));
  expectEqual((await answer('a?', LONG)).truncated, false, 'question-answering runs windows');
  expectEqual((await answer('a?', LONG, { top_k: 2 })).truncated, false, 'a list of answers');
  await answer.dispose();
});
