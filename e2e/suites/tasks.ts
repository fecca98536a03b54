import type { Tensor } from '../../src/index.ts';
import { descending, load, logitsOf, softmax, TEXTS, url } from '../answers.ts';
import { edited } from '../checkpoint-edit.ts';
import type { Expected } from '../fixtures.ts';
import { takeCounts } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits } from '../harness.ts';
import { fetchJson } from '../library.ts';

/** The tasks on whole sequences, against what follows from the models' logits. */

check('zero-shot-classification: every pair in one pass, one label or several', async log => {
  const label2id = { CONTRADICTION: 0, NEUTRAL: 1, ENTAILMENT: 2 };
  const files = await edited(url('bert-sequence'), { config: { label2id } });
  const pipe = await load('zero-shot-classification', files);
  const labels = ['history', 'sport', 'food'];
  await pipe(TEXTS, labels);
  takeCounts();
  const all = await pipe(TEXTS, labels, { hypothesis_template: 'It is about {}!' });
  const { submit } = takeCounts();
  expectEqual(submit, 1, 'passes for 9 pairs');
  const many = await pipe(TEXTS, labels, { multi_label: true, hypothesis_template: 'It is about {}!' });
  expect(Array.isArray(all) && Array.isArray(many), 'a list gives no list');
  for (const [t, text] of TEXTS.entries()) {
    const rows = await logitsOf(
      pipe,
      labels.map(label => [text, `It is about ${label}!`] as const),
    );
    const single = descending(softmax(rows.map(row => row[2]!)));
    const several = descending(rows.map(row => softmax([row[0]!, row[2]!])[1]!));
    for (const [got, wanted] of [
      [all[t]!, single],
      [many[t]!, several],
    ] as const) {
      expectEqual(Object.keys(got), ['sequence', 'labels', 'scores'], 'names');
      expectEqual(got.sequence, text, 'sequence');
      expectEqual(
        got.labels,
        wanted.map(({ index }) => labels[index]),
        'labels',
      );
      const scores = wanted.map(({ score }) => score);
      expectClose(got.scores, scores, { label: 'scores', absolute: 1e-6 });
    }
  }
  // What Python's pipeline says of the same model.
  interface Golden {
    text: string;
    labels: string | string[];
    options: object;
    label2id: object;
    answer: { labels: string[]; scores: number[] };
  }
  const { cases } = await fetchJson<{ cases: Golden[] }>('/fixtures/tasks/zero-shot-classification.json');
  const same = cases.filter(each => JSON.stringify(each.label2id) === JSON.stringify(label2id));
  for (const { text, labels: candidates, options, answer } of same) {
    const got = await pipe(text, candidates, options);
    expect(!Array.isArray(got), 'one text gives a list');
    expectEqual(got.labels, answer.labels, `labels of ${JSON.stringify(candidates)}`);
    expectClose(got.scores, answer.scores, { label: 'scores', absolute: 1e-4 });
  }
  await pipe.dispose();
  log(`9 pairs in one pass; ${same.length} answers of Python`);
});

check('zero-shot-classification: without label2id the labels are those of id2label', async () => {
  const names = ['contradiction', 'neutral', 'entailment'];
  const label2id = Object.fromEntries(names.map((name, i) => [name, i]));
  const from = async (config: object) =>
    load('zero-shot-classification', await edited(url('bert-sequence'), { config }));
  const plain = await from({ id2label: names, label2id: undefined });
  const both = await from({ id2label: names, label2id });
  expectSameBits(await plain(TEXTS, ['history', 'food']), await both(TEXTS, ['history', 'food']), 'answers');
  await plain.dispose();
  await both.dispose();
});

check('text-classification with one label: the shape is that of the top_k that was asked for', async () => {
  const pipe = await load('text-classification', url('bert-rerank'));
  const flat = await pipe(TEXTS);
  const lists = flat.map(one => [one]);
  for (const [label, got, wanted] of [
    ['no top_k', flat.map(({ label }) => label), TEXTS.map(() => 'LABEL_0')],
    ['top_k 1', await pipe(TEXTS, { top_k: 1 }), flat],
    ['top_k null', await pipe(TEXTS, { top_k: null }), lists],
    ['top_k 2', await pipe(TEXTS, { top_k: 2 }), lists],
  ] as const) {
    expectEqual(got, wanted, label);
  }
  const [one, ...more] = await pipe(TEXTS[0]!, { top_k: null });
  expectEqual([one!.label, more], ['LABEL_0', []], 'one text, top_k null');
  await pipe.dispose();
});

check('text-ranking as CrossEncoder.rank', async () => {
  const pipe = await load('text-ranking', url('bert-rerank'));
  const query = 'Where is the tower?';
  const logits = (
    await logitsOf(
      pipe,
      TEXTS.map(text => [query, text] as const),
    )
  ).map(row => row[0]!);
  const sigmoid = descending(logits.map(x => 1 / (1 + Math.exp(-x))));
  const same = (got: readonly { corpus_id: number; score: number }[], wanted: typeof sigmoid, label: string) => {
    expectEqual(
      got.map(({ corpus_id }) => corpus_id),
      wanted.map(({ index }) => index),
      `${label}: corpus_id`,
    );
    const scores = wanted.map(({ score }) => score);
    expectClose(
      got.map(({ score }) => score),
      scores,
      { label, absolute: 1e-6 },
    );
  };
  same(await pipe(query, TEXTS), sigmoid, 'all');
  const two = await pipe(query, TEXTS, { top_k: 2, return_documents: true });
  same(two, sigmoid.slice(0, 2), 'two');
  expectEqual(
    two.map(({ text }) => text),
    sigmoid.slice(0, 2).map(({ index }) => TEXTS[index]),
    'texts',
  );
  same(await pipe(query, TEXTS, { activation: 'none' }), descending(logits), 'raw');
  // Against float64, where the fixture has pairs.
  const { cases } = await fetchJson<Expected>(`${url('bert-rerank')}expected.json`);
  for (const { text, text_pair, outputs } of cases) {
    if (text_pair === null) continue;
    const [found] = await pipe(text, [text_pair], { activation: 'none' });
    const { data } = outputs.logits as { data: number[] };
    expectClose([found!.score], data, { label: text.slice(0, 20), absolute: 1e-4 });
  }
  await pipe.dispose();
  const sentence_transformers = { activation_fn: 'torch.nn.modules.linear.Identity' };
  const named = await load('text-ranking', await edited(url('bert-rerank'), { config: { sentence_transformers } }));
  same(await named(query, TEXTS), descending(logits), 'as the config names it');
  await named.dispose();
});

check('next-sentence-prediction', async () => {
  const pipe = await load('next-sentence-prediction', url('bert-pretraining'));
  const { cases } = await fetchJson<Expected>(`${url('bert-pretraining')}expected.json`);
  for (const { text, text_pair, outputs } of cases) {
    if (text_pair === null) continue;
    const { label, score } = await pipe(text, text_pair);
    const [follows, other] = softmax((outputs.seq_relationship_logits as { data: number[] }).data);
    expectEqual(label, follows! >= other! ? 'IsNext' : 'NotNext', 'label');
    expectClose([score], [Math.max(follows!, other!)], { label, absolute: 1e-4 });
  }
  await pipe.dispose();
});

check('multiple-choice', async () => {
  const pipe = await load('multiple-choice', url('bert-choice'));
  const { cases } = await fetchJson<Expected>(`${url('bert-choice')}expected.json`);
  const [first] = cases.filter(({ text_pair }) => text_pair !== null);
  const choices = [first!.text_pair!, ...TEXTS];
  const { input_ids, attention_mask, token_type_ids } = pipe.tokenizer(Array(4).fill(first!.text), {
    text_pair: choices,
    padding: true,
    truncation: true,
  });
  const block = (tensor: Tensor | undefined) => tensor?.view(1, 4, -1);
  const { logits } = await pipe.model({
    input_ids: block(input_ids)!,
    attention_mask: block(attention_mask),
    token_type_ids: block(token_type_ids),
  });
  expectEqual(logits.dims, [1, 4], 'dims of logits');
  const values = logits.data as Float32Array;
  expectClose([values[0]!], (first!.outputs.logits as { data: number[] }).data, { label: 'float64', absolute: 1e-4 });
  const wanted = descending(softmax(values));
  const got = await pipe(first!.text, choices);
  expectEqual(
    got.map(({ index, label }) => [index, label]),
    wanted.map(({ index }) => [index, choices[index]]),
    'order',
  );
  expectClose(
    got.map(({ score }) => score),
    wanted.map(({ score }) => score),
    { label: 'scores', absolute: 1e-6 },
  );
  await pipe.dispose();
});

check('sentence-similarity', async () => {
  const pipe = await load('sentence-similarity', url('bert-base'));
  const { cases } = await fetchJson<Expected>(`${url('bert-base')}expected.json`);
  const mine = cases.filter(({ text_pair }) => text_pair === null);
  const means = mine.map(({ outputs }) => {
    const { shape, data } = outputs.last_hidden_state as { shape: number[]; data: number[] };
    const [, L = 0, C = 0] = shape;
    return Array.from({ length: C }, (_, c) => data.reduce((sum, v, i) => (i % C === c ? sum + v : sum), 0) / L);
  });
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  const [source, ...others] = means;
  const wanted = others.map(row => dot(source!, row) / Math.sqrt(dot(row, row) * dot(source!, source!)));
  const sentences = mine.slice(1).map(({ text }) => text);
  const got = await pipe({ source_sentence: mine[0]!.text, sentences });
  expectClose(got, wanted, { label: 'cosines', absolute: 1e-5 });
  await pipe.dispose();
});
