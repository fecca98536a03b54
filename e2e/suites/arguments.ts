import { LONG, load, url } from '../answers.ts';
import { edited } from '../checkpoint-edit.ts';
import { check, expect, expectEqual, expectThrows } from '../harness.ts';
import { library } from '../library.ts';

/** What every pipeline refuses. */

check('arguments that make no sense are refused by name', async log => {
  const { InputError, UnsupportedError } = library;
  const pipes = {
    features: await load('feature-extraction', url('bert-base')),
    mask: await load('fill-mask', url('bert-masked-lm')),
    text: await load('text-classification', url('bert-sequence')),
    token: await load('token-classification', url('bert-token')),
    qa: await load('question-answering', url('bert-qa')),
    rank: await load('text-ranking', url('bert-rerank')),
    choice: await load('multiple-choice', url('bert-choice')),
    next: await load('next-sentence-prediction', url('bert-pretraining')),
    similar: await load('sentence-similarity', url('bert-base')),
    zero: await load(
      'zero-shot-classification',
      await edited(url('bert-sequence'), { config: { label2id: { entailment: 0, contradiction: 1 } } }),
    ),
  };
  const untyped = pipes as unknown as Record<keyof typeof pipes, (...values: unknown[]) => Promise<unknown>>;
  const wrong: [keyof typeof pipes, ...unknown[]][] = [
    ['features', 5],
    ['features', []],
    ['features', ['a', null]],
    ['features', 'a', { pooling: 'median' }],
    ['features', 'a', { poolng: 'mean' }],
    ['features', 'a', { truncate_dim: 0 }],
    ['features', 'a', { truncate_dim: 49 }],
    ['features', 'a', { precision: 'int4' }],
    ['features', 'a', { pooling: 'mean', precision: 'int8' }],
    ['features', 'a', { overflow: 'ignore' }],
    ['features', LONG, { overflow: 'window', stride: 8 }],
    ['features', LONG, { overflow: 'window', stride: -1, pooling: 'mean' }],
    ['features', LONG, { overflow: 'window', stride: 64, pooling: 'mean' }],
    ['mask', 'no mask here'],
    ['mask', ['the [MASK]', 'no mask']],
    ['mask', 'the [MASK]', { top_k: 0 }],
    ['mask', 'the [MASK]', { top_k: 1.5 }],
    ['mask', 'the [MASK]', { targets: [] }],
    ['mask', 'the [MASK]', { targets: [5] }],
    ['text', { text_pair: 'b' }],
    ['text', { text: 'a', text_pair: 5 }],
    ['text', []],
    ['text', 'a', { top_k: -1 }],
    ['text', 'a', { function_to_apply: 'tanh' }],
    ['token', undefined],
    ['token', 'a', { aggregation_strategy: 'median' }],
    ['token', 'a', { ignore_labels: 'O' }],
    ['qa', 'question'],
    ['qa', 5, 'context'],
    ['qa', 'question', 'context', { top_k: 0 }],
    ['qa', 'question', 'context', { max_seq_len: 65 }],
    ['qa', 'question', 'context', { max_answer_len: 0 }],
    ['qa', 'question', 'context', { handle_impossible_answer: 'yes' }],
    ['qa', `${LONG}?`, 'context'],
    ['rank', 'query', 'document'],
    ['rank', 'query', []],
    ['rank', 'query', ['document'], { activation: 'softmax' }],
    ['choice', 'text', []],
    ['choice', 'text', 'one'],
    ['next', 'text'],
    ['similar', 'text'],
    ['similar', { source_sentence: 'a', sentences: [] }],
    ['similar', undefined],
    ['zero', 'text'],
    ['zero', 'text', []],
    ['zero', 'text', ' , '],
    ['zero', 'text', ['a'], { hypothesis_template: 'no place for it' }],
    ['zero', 'text', ['a'], { multi_label: 1 }],
  ];
  const bad: string[] = [];
  for (const [name, ...values] of wrong) {
    const label = `${name}(${JSON.stringify(values).slice(1, 90)})`;
    const error = await untyped[name](...values).then(
      result => `gave ${JSON.stringify(result).slice(0, 120)}`,
      (thrown: unknown) => thrown,
    );
    if (error instanceof InputError || error instanceof UnsupportedError) continue;
    bad.push(`${label} ${error}`);
  }
  expectEqual(bad, [], 'not refused as it should be');
  // No options at all: what JavaScript's callers write where they have none.
  const plain: [keyof typeof pipes, ...unknown[]][] = [
    ['features', 'a'],
    ['mask', 'the [MASK]'],
    ['text', 'a'],
    ['token', 'a'],
    ['qa', 'question', 'context'],
    ['rank', 'query', ['document']],
    ['choice', 'text', ['a', 'b']],
    ['next', 'text', 'next'],
    ['similar', { source_sentence: 'a', sentences: ['b'] }],
    ['zero', 'text', ['a', 'b']],
  ];
  expectEqual(plain.length, Object.keys(pipes).length, 'calls with null');
  for (const [name, ...values] of plain) {
    expectEqual(await untyped[name](...values, null), await untyped[name](...values), `${name} with null as options`);
    const error = await expectThrows(() => untyped[name](...values, 5), `${name} with 5 as options`);
    expect(error instanceof InputError && /options/.test(error.message), `${error}`);
  }
  const wrongHead = await expectThrows(() => load('question-answering', url('bert-token')), 'a head that is not there');
  expect(wrongHead instanceof library.CheckpointError && /qa_outputs/.test(wrongHead.message), `${wrongHead}`);
  const noNli = await load('zero-shot-classification', url('bert-sequence'));
  const refused = await expectThrows(() => noNli('a', ['b']), 'a model without entailment');
  expect(refused instanceof UnsupportedError && /entailment/.test(refused.message), `${refused}`);
  const noRank = await load('text-ranking', url('bert-sequence'));
  expect((await expectThrows(() => noRank('a', ['b']), 'three labels')) instanceof UnsupportedError, 'three labels');
  for (const pipe of [...Object.values(pipes), noNli, noRank]) await pipe.dispose();
  log(`${wrong.length} calls`);
});
