import type { Tensor } from '../../src/index.ts';
import { readTensors } from '../../tests/checkpoint-bytes.ts';
import { descending, load, softmax, url } from '../answers.ts';
import { edited, floats, valuesOf } from '../checkpoint-edit.ts';
import { compareRow, type Expected, loadAs, type Outputs } from '../fixtures.ts';
import { restrict } from '../gpu-limits.ts';
import { check, expect, expectClose, expectEqual, expectThrows } from '../harness.ts';
import { fetchFiles, fetchJson, library, once, ownDevice } from '../library.ts';

/** The vocabulary: masks and their candidates, a table in slices, a decoder of its own. */

/** Bytes that were mapped for reading since the last call. */
const mapped = once(async () => {
  const state = { bytes: 0 };
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = function (this: GPUBuffer, mode, offset, size) {
    state.bytes += size ?? this.size;
    return mapAsync.call(this, mode, offset, size);
  };
  return () => {
    const { bytes } = state;
    state.bytes = 0;
    return bytes;
  };
});

check('fill-mask: several masks, many candidates, targets, and nothing but these read back', async log => {
  const bytesRead = await mapped();
  for (const name of ['bert-masked-lm', 'roberta-masked-lm', 'electra-masked-lm']) {
    const pipe = await load('fill-mask', url(name));
    const mask = pipe.tokenizer.mask_token!;
    const id = pipe.tokenizer.mask_token_id!;
    const { vocab_size: V } = await fetchJson<{ vocab_size: number }>(`${url(name)}config.json`);
    const text = `${mask} is the ${mask} of France, and ${mask} lives in the old town by the river.`;
    const inputs = pipe.tokenizer(text);
    const ids = [...inputs.input_ids.data].map(Number);
    const places = ids.flatMap((token, i) => (token === id ? [i] : []));
    expectEqual(places.length, 3, 'masks');
    const { logits } = await pipe.model(inputs);
    expectEqual(logits.dims, [1, ids.length, V], 'dims of logits');
    const wanted = places.map(place => descending(softmax(logits.slice(0, place).data as Float32Array)));
    for (const top_k of [1, 5, 50, V, 10 * V]) {
      bytesRead();
      const got = (await pipe(text, { top_k })) as { token: number; score: number }[][];
      const read = bytesRead();
      // The GPU finds a power of two of them.
      const found = Math.min(2 ** Math.ceil(Math.log2(top_k)), V);
      const k = Math.min(top_k, V);
      expect(read <= 3 * (2 * found + 2 + 3) * 4 + 256, `${read} bytes read for ${k} candidates`);
      if (top_k === 5)
        log(`${name}: ${read} bytes read for 3 masks, top_k 5; all logits would be ${4 * ids.length * V}`);
      got.forEach((list, m) => {
        expectEqual(list.length, k, `candidates of mask ${m}`);
        const scores = wanted[m]!.slice(0, k).map(({ score }) => score);
        expectClose(
          list.map(({ score }) => score),
          scores,
          { label: `scores of mask ${m}, top_k ${top_k}`, absolute: 1e-7, relative: 1e-4 },
        );
        // Which token it is, where the next score is not as good as equal.
        list.forEach(({ token }, i) => {
          const own = wanted[m]!.find(({ index }) => index === token)!;
          expect(Math.abs(own.score - scores[i]!) <= 1e-7 + 1e-4 * scores[i]!, `mask ${m}: token ${token} at ${i}`);
        });
        expectEqual(new Set(list.map(({ token }) => token)).size, k, 'tokens, each once');
      });
    }
    const words = ['the', 'old', 'town', 'zzz'].map(
      word => pipe.tokenizer.encode(word, { add_special_tokens: false })[0]!,
    );
    const targets = [...new Set(words)];
    const chosen = (await pipe(text, { targets: ['the', 'old', 'town', 'zzz'], top_k: 10 })) as {
      token: number;
      score: number;
    }[][];
    chosen.forEach((list, m) => {
      const own = wanted[m]!.filter(({ index }) => targets.includes(index));
      expectEqual(
        list.map(({ token }) => token),
        own.map(({ index }) => index),
        `targets of mask ${m}`,
      );
      expectClose(
        list.map(({ score }) => score),
        own.map(({ score }) => score),
        { label: `scores of targets of mask ${m}`, absolute: 1e-7, relative: 1e-4 },
      );
    });
    // Lists: one mask each, one after the other.
    const texts = [`Paris is ${mask}.`, text, `${mask} lives in the old town.`];
    const lists = await pipe(texts, { top_k: 3 });
    for (const [i, one] of texts.entries()) expectEqual(lists[i], await pipe(one, { top_k: 3 }), `text ${i} of a list`);
    await pipe.dispose();
  }
});

/** A device whose buffers and bindings are small: it says so, and refuses larger ones. */
const smallDevice = async (bytes: number): Promise<GPUDevice> =>
  restrict(await ownDevice(), { maxStorageBufferBindingSize: bytes, maxBufferSize: 4 * bytes });

check('a call that is too large for the device is refused, and the next one works', async () => {
  // Queries, keys and values of 64 tokens are 36,864 bytes.
  const device = await smallDevice(30_000);
  const { cases } = await fetchJson<Expected>(`${url('bert-base')}expected.json`);
  const model = await loadAs('BertModel', url('bert-base'), { device });
  const short = cases.find(({ input_ids }) => input_ids.length < 20)!;
  const call = async (ids: number[]) =>
    (await model({ input_ids: [ids] }, { output_attentions: [0] })) as { attentions?: Tensor[] };
  const before = await call(short.input_ids);
  const error = await expectThrows(() => call(Array<number>(64).fill(7)), '64 tokens');
  expect(
    error instanceof Error && /larger than this device allows: got 36864 bytes/.test(error.message),
    String(error),
  );
  const after = await call(short.input_ids);
  expectEqual(after.attentions?.[0]?.tolist(), before.attentions?.[0]?.tolist(), 'the same call again');
  await model.dispose();
  device.destroy();
});

check('a vocabulary in slices: a device whose bindings are small', async log => {
  // 208 rows of 48 floats: the table of 640 rows is four slices.
  const device = await smallDevice(40_000);
  for (const name of ['bert-masked-lm', 'albert-masked-lm', 'mpnet-masked-lm']) {
    const { cases, cls } = await fetchJson<Expected>(`${url(name)}expected.json`);
    const model = await loadAs(cls, url(name), { device });
    const short = cases.filter(({ input_ids }) => input_ids.length < 40);
    const worst: number[] = [];
    for (const one of short) {
      const token_type_ids = one.token_type_ids ? [one.token_type_ids] : undefined;
      const out = await model({ input_ids: [one.input_ids], token_type_ids });
      worst.push(compareRow(out as Outputs, 0, one));
    }
    await model.dispose();
    const [sliced, whole] = await Promise.all([
      library.pipeline('fill-mask', url(name), { device }),
      load('fill-mask', url(name)),
    ]);
    const mask = whole.tokenizer.mask_token!;
    const text = `${mask} is the ${mask} of France.`;
    for (const options of [{ top_k: 5 }, { top_k: 300 }, { targets: ['the', 'of', 'in'] }]) {
      const [got, wanted] = [await sliced(text, options), await whole(text, options)];
      const flat = (answer: unknown) => (answer as { token: number; score: number }[][]).flat();
      const scores = (answer: unknown) => flat(answer).map(({ score }) => score);
      expectClose(scores(got), scores(wanted), { label: `${name} in slices`, absolute: 1e-7, relative: 1e-5 });
      const first = (answer: unknown) => flat(answer).slice(0, 3);
      const tokens = (answer: unknown) => first(answer).map(({ token }) => token);
      expectEqual(tokens(got), tokens(wanted), 'tokens');
    }
    await sliced.dispose();
    await whole.dispose();
    log(`${name}: largest difference ${Math.max(...worst).toExponential(1)}`);
  }
  device.destroy();
});

check('an untied decoder', async () => {
  const name = 'bert-masked-lm';
  const { cases } = await fetchJson<Expected>(`${url(name)}expected.json`);
  const tensors = readTensors((await fetchFiles(url(name)))['model.safetensors']!);
  const biasName = Object.keys(tensors).find(key => /predictions\.(decoder\.)?bias$/.test(key))!;
  const wordName = Object.keys(tensors).find(key => key.endsWith('word_embeddings.weight'))!;
  const bias = valuesOf(tensors[biasName]!);
  // Twice the table: logits - bias are twice what they were.
  const files = await edited(url(name), {
    config: { tie_word_embeddings: false },
    tensors: all => {
      const { shape } = all[wordName]!;
      all['cls.predictions.decoder.weight'] = floats(
        valuesOf(all[wordName]!).map(v => 2 * v),
        shape,
      );
    },
  });
  const model = await loadAs('BertForMaskedLM', files);
  const [one] = cases;
  const { rows, data, shape } = one!.outputs.logits_rows as { rows: number[]; data: number[]; shape: number[] };
  const V = shape.at(-1)!;
  const { logits } = (await model({ input_ids: [one!.input_ids] })) as { logits: Tensor };
  rows.forEach((row, i) => {
    const wanted = data.slice(i * V, (i + 1) * V).map((v, c) => 2 * (v - bias[c]!) + bias[c]!);
    expectClose(logits.slice(0, row).data as Float32Array, wanted, { label: `row ${row}`, absolute: 2e-4 });
  });
  await model.dispose();
});

check('one tensor for the word table and the decoder, under the name of the latter: the same bits', async () => {
  const { AutoModelForMaskedLM, AutoTokenizer } = library;
  const KEPT = [
    ['roberta-masked-lm', 'roberta', 'lm_head.decoder.weight'],
    ['mpnet-masked-lm', 'mpnet', 'lm_head.decoder.weight'],
    ['albert-masked-lm', 'albert', 'predictions.decoder.weight'],
  ] as const;
  for (const [name, top, kept] of KEPT) {
    const files = await edited(url(name), {
      tensors: all => {
        const table = `${top}.embeddings.word_embeddings.weight`;
        all[kept] = all[table]!;
        delete all[table];
      },
    });
    const [plain, shared] = await Promise.all([url(name), files].map(at => AutoModelForMaskedLM.from_pretrained(at)));
    const inputs = (await AutoTokenizer.from_pretrained(url(name)))('Paris is the capital of France.');
    const [wanted, got] = await Promise.all([plain!(inputs), shared!(inputs)]);
    expectEqual([...got.logits.data], [...wanted.logits.data], `logits of ${name}`);
    await Promise.all([plain!.dispose(), shared!.dispose()]);
  }
});
