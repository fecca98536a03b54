import type { FeatureExtractionPipeline, Tensor } from '../../src/index.ts';
import { readTensors } from '../../tests/checkpoint-bytes.ts';
import { cosine } from '../answers.ts';
import { edited, valuesOf } from '../checkpoint-edit.ts';
import { type Expected, type FixtureCase, loadAs, type Outputs, sharedDevice } from '../fixtures.ts';
import { liveBytes } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits } from '../harness.ts';
import { BERT, fetchJson, library, MINILM, ownDevice } from '../library.ts';
import { half } from '../packed.ts';

/** Weights kept as halves and as bytes: how far the answers are from float64, what they take, and that rows stay alone. */

const MEAN = { pooling: 'mean', normalize: true } as const;

/** What the formats are held to: cosine with float64, and bytes of weights beside those of fp32. */
const HELD = {
  // A half has 11 bits: 2^-12 of a weight at most, and errors of many weights cancel.
  fp16: { least: 0.99999, share: 0.51 },
  // A byte has 127 steps for the largest of 64 numbers. Tables of positions, norms and biases stay float32.
  q8: { least: 0.995, share: 0.28 },
} as const;

for (const [dtype, { least, share }] of Object.entries(HELD)) {
  check(`all-MiniLM-L6-v2 in ${dtype}: cosine with float64, bytes, the same bits alone and in a batch`, async log => {
    const { cases } = await fetchJson<{ cases: { text: string; embedding: number[] }[] }>(
      '/fixtures/all-MiniLM-L6-v2.json',
    );
    const device = await ownDevice();
    const extractor: FeatureExtractionPipeline = await library.pipeline('feature-extraction', MINILM, {
      dtype,
      device,
    });
    const texts = cases.map(({ text }) => text);
    const rows = (await extractor(texts, MEAN)).tolist() as number[][];
    const cosines = cases.map(({ embedding }, i) => cosine(rows[i]!, embedding));
    const worst = Math.min(...cosines);
    expect(worst >= least, `the least cosine is ${worst}`);
    for (const i of [0, 6, 13]) {
      const alone = await extractor(texts[i]!, MEAN);
      expectSameBits([...(alone.data as Float32Array)], rows[i], `bits of text ${i}, alone and in the batch`);
    }
    const { weights, activations } = await extractor.model.bytes();
    // The file's float32 tensors, less its integers.
    expect(weights <= share * 90_859_008, `${weights} bytes of weights`);
    expectEqual(liveBytes(device), weights + activations, 'bytes held on the GPU');
    await extractor.dispose();
    expectEqual(liveBytes(device), 0, 'bytes held on the GPU after dispose');
    device.destroy();
    const mean = cosines.reduce((a, b) => a + b) / cosines.length;
    log(`least cosine ${worst.toFixed(7)}, mean ${mean.toFixed(7)}; ${weights} bytes of weights`);
  });
}

/** The numbers of a case's answers, and those expected, one list each; not the attentions and hidden states. */
function answers(outputs: Outputs, { outputs: expected }: FixtureCase): [number[], number[]][] {
  return Object.entries(expected).flatMap(([key, wanted]): [number[], number[]][] => {
    if (Array.isArray(wanted) || key.endsWith('_argmax')) return [];
    const tensor = outputs[key.replace(/_rows$/, '')] as Tensor;
    if (!('rows' in wanted)) return [[[...(tensor.data as Float32Array)], wanted.data]];
    return [[wanted.rows.flatMap(row => [...(tensor.slice(0, row).data as Float32Array)]), wanted.data]];
  });
}

// Every family's own: a vocabulary tied to the table, shared layers and a projection, a relative bias, heads of 25.
for (const folder of ['bert-masked-lm', 'albert-masked-lm', 'mpnet-base', 'roberta-sequence', 'xlm-roberta-token']) {
  check(`${folder} in fp16 and q8`, async log => {
    const url = `/fixtures/random/${folder}/`;
    const { cases, cls } = await fetchJson<Expected>(`${url}expected.json`);
    for (const [dtype, least] of [
      ['fp16', 0.9999],
      // Random weights have no structure that survives the rounding.
      ['q8', 0.99],
    ] as const) {
      const model = await loadAs(cls, url, { dtype });
      let worst = 1;
      for (const one of cases) {
        const outputs = (await model({
          input_ids: [one.input_ids],
          ...(one.token_type_ids && { token_type_ids: [one.token_type_ids] }),
        })) as Outputs;
        for (const [got, wanted] of answers(outputs, one)) worst = Math.min(worst, cosine(got, wanted));
      }
      await model.dispose();
      expect(worst >= least, `${dtype}: the least cosine is ${worst}`);
      log(`${dtype}: least cosine ${worst.toFixed(6)}`);
    }
  });
}

/** A checkpoint of bert-base whose tensors are two bytes a number, and the same numbers in float32. */
async function twins(stored: 'F16' | 'BF16') {
  const word = new Uint32Array(1);
  const single = new Float32Array(word.buffer);
  const narrow = (value: number) => {
    if (stored === 'F16') return half(value).bits;
    single[0] = value;
    return word[0]! >>> 16;
  };
  const widen = (bits: number, value: number) => {
    if (stored === 'F16') return half(value).value;
    word[0] = bits << 16;
    return single[0]!;
  };
  const make = (wide: boolean) =>
    edited(BERT, {
      tensors: all => {
        for (const [name, tensor] of Object.entries(all)) {
          if (tensor.dtype !== 'F32') continue;
          const values = valuesOf(tensor);
          const bits = Uint16Array.from(values, narrow);
          const bytes = wide ? Float32Array.from(values, (value, i) => widen(bits[i]!, value)) : bits;
          all[name] = { ...tensor, dtype: wide ? 'F32' : stored, bytes: new Uint8Array(bytes.buffer) };
        }
      },
    });
  return { narrow: await make(false), wide: await make(true) };
}

for (const stored of ['F16', 'BF16'] as const) {
  check(`a file of ${stored} in every dtype gives the bits that its numbers in float32 give`, async () => {
    const files = await twins(stored);
    expectEqual(readTensors(files.narrow['model.safetensors']!)['embeddings.LayerNorm.bias']!.dtype, stored, 'dtype');
    const device = await sharedDevice();
    const found: Record<string, Tensor> = {};
    for (const dtype of ['fp32', 'fp16', 'q8']) {
      for (const [name, source] of Object.entries(files)) {
        const model = await library.AutoModel.from_pretrained(source, { dtype, device });
        const { last_hidden_state } = await model({ input_ids: [[2, 5, 7, 11, 3]] });
        found[`${name} ${dtype}`] = last_hidden_state;
        await model.dispose();
      }
      expectSameBits(found[`narrow ${dtype}`], found[`wide ${dtype}`], dtype);
    }
    // Halves are kept as they are.
    if (stored === 'F16') expectSameBits(found['narrow fp16'], found['narrow fp32'], 'fp16 and fp32');
  });
}
