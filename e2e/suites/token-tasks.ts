import { load, logitsOf, softmax, url } from '../answers.ts';
import { edited, floats } from '../checkpoint-edit.ts';
import { random } from '../dispatch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { fetchJson, library } from '../library.ts';

/** The tasks on tokens, against all paths and all spans, one by one. */

const CRF_LABELS = 7;

check('a CRF head: the best of all paths, and its probabilities', async log => {
  const make = random(11);
  const [transitions, start, end] = [make(CRF_LABELS ** 2, 0.8), make(CRF_LABELS, 0.8), make(CRF_LABELS, 0.8)];
  const files = await edited(url('bert-token'), {
    tensors: tensors => {
      tensors['crf.transitions'] = floats(transitions, [CRF_LABELS, CRF_LABELS]);
      tensors['crf.start_transitions'] = floats(start, [CRF_LABELS]);
      tensors['crf.end_transitions'] = floats(end, [CRF_LABELS]);
    },
  });
  const [pipe, plain] = await Promise.all([
    load('token-classification', files),
    load('token-classification', url('bert-token')),
  ]);
  const { id2label } = await fetchJson<{ id2label: Record<number, string> }>(`${url('bert-token')}config.json`);
  let changed = 0;
  // Short, so that every path can be weighed: 7^6 of them.
  for (const text of ['a', 'it is', 'Rome', 'New']) {
    const [row] = await logitsOf(plain, [[text]]);
    const L = row!.length / CRF_LABELS;
    expect(L <= 7, `${text} has ${L} tokens`);
    const best = { score: Number.NEGATIVE_INFINITY, path: [] as number[] };
    let total = 0;
    const mass = Array.from({ length: L }, () => new Float64Array(CRF_LABELS));
    for (let code = 0; code < CRF_LABELS ** L; code++) {
      const path = Array.from({ length: L }, (_, t) => Math.floor(code / CRF_LABELS ** t) % CRF_LABELS);
      let score = start[path[0]!]! + end[path.at(-1)!]!;
      path.forEach((j, t) => {
        score += row![t * CRF_LABELS + j]! + (t > 0 ? transitions[path[t - 1]! * CRF_LABELS + j]! : 0);
      });
      if (score > best.score) Object.assign(best, { score, path });
      const weight = Math.exp(score);
      total += weight;
      path.forEach((j, t) => {
        mass[t]![j]! += weight;
      });
    }
    const got = await pipe(text, { ignore_labels: [] });
    const without = await plain(text, { ignore_labels: [] });
    expect(!Array.isArray(got[0]) && !Array.isArray(without[0]), 'one text gives lists');
    const entities = got as { entity: string; index: number; score: number }[];
    expectEqual(
      entities.map(({ entity, index }) => [entity, index]),
      best.path.slice(1, -1).map((label, i) => [id2label[label], i + 1]),
      `labels of ${text}`,
    );
    const wanted = best.path.slice(1, -1).map((label, i) => mass[i + 1]![label]! / total);
    expectClose(
      entities.map(({ score }) => score),
      wanted,
      { label: `scores of ${text}`, absolute: 1e-5 },
    );
    changed += (without as { entity: string }[]).filter(({ entity }, i) => entity !== entities[i]!.entity).length;
  }
  expect(changed > 0, 'the transitions change no label: the test says nothing');
  await pipe.dispose();
  await plain.dispose();
  log(`${changed} labels differ from those without transitions`);
});

const CONTEXT = `${'Anna built the bridge in the old town. '.repeat(9)}José built the tower in 1889. ${'The river is wide. '.repeat(9)}`;

check('question-answering: a context of many windows, spans weighed one by one', async log => {
  const pipe = await load('question-answering', url('bert-qa'));
  const question = 'Who built it?';
  for (const [max_seq_len, doc_stride] of [
    [64, 16],
    [40, 0],
    [33, 9],
  ] as const) {
    const encodings = pipe.tokenizer.text.encodeWindows(question, {
      pair: CONTEXT,
      maxLength: max_seq_len,
      stride: doc_stride,
      truncation: 'only_second',
    });
    expect(encodings.length > 3, `${encodings.length} windows`);
    const found = new Map<string, { score: number; start: number; end: number }>();
    for (const { ids, typeIds, sequenceIds, offsets } of encodings) {
      const out = await pipe.model({ input_ids: [ids], token_type_ids: [typeIds] });
      // The first token may say that there is no answer: it has its share, and is no span.
      const may = sequenceIds.map((sequence, i) => i === 0 || sequence === 1);
      const [starts, ends] = [out.start_logits, out.end_logits].map(({ data }) =>
        softmax(may.map((own, i) => (own ? Number(data[i]) : Number.NEGATIVE_INFINITY))),
      );
      let best = { score: 0, start: 0, end: 0 };
      for (let i = 1; i < ids.length; i++) {
        for (let j = i; j < Math.min(ids.length, i + 5); j++) {
          const score = may[i] && may[j] ? starts![i]! * ends![j]! : 0;
          if (score > best.score) best = { score, start: offsets[i]![0], end: offsets[j]![1] };
        }
      }
      // Windows that say the same are one answer, with the first one's place.
      const text = CONTEXT.slice(best.start, best.end).toLowerCase();
      const same = found.get(text);
      if (same) same.score += best.score;
      else found.set(text, best);
    }
    const [wanted] = [...found.values()].sort((a, b) => b.score - a.score);
    const options = { max_seq_len, doc_stride, max_answer_len: 5, align_to_words: false };
    const got = await pipe(question, CONTEXT, options);
    expect(!Array.isArray(got), 'top_k 1 gives a list');
    expectEqual(
      [got.start, got.end, got.answer],
      [wanted!.start, wanted!.end, CONTEXT.slice(got.start, got.end)],
      'span',
    );
    expectClose([got.score], [wanted!.score], { label: 'score', absolute: 1e-6 });
    log(`${encodings.length} windows of ${max_seq_len}: ${JSON.stringify(got.answer)}`);
  }
  await pipe.dispose();
});

check('question-answering: a long question and no doc_stride', async log => {
  const pipe = await load('question-answering', url('bert-qa'));
  const lengthOf = (question: string) => pipe.tokenizer.text.encode(question, { pair: '' }).ids.length;
  let question = 'Who built it';
  // The usual stride of 32 does not fit any more; then only few tokens are left for the context.
  for (const taken of [32, 45, 58]) {
    while (lengthOf(question) < taken) question += ' a';
    const room = 64 - lengthOf(question);
    expect(room > 0 && room <= 32, `room for ${room} tokens`);
    const got = await pipe(question, CONTEXT);
    expectEqual(got.answer, CONTEXT.slice(got.start, got.end), `answer with room for ${room}`);
    const same = await pipe(question, CONTEXT, { doc_stride: room >> 1 });
    expectSameBits(got, same, `as with half of the room, ${room}, as the stride`);
    const error = await expectThrows(() => pipe(question, CONTEXT, { doc_stride: 32 }), 'a stride that was asked for');
    expect(error instanceof library.InputError && /stride/.test(error.message), `${error}`);
    log(`room for ${room} tokens: ${JSON.stringify(got.answer)}`);
  }
  await pipe.dispose();
});
