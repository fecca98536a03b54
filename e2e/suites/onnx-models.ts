import { models, sharedDevice } from '../fixtures.ts';
import { check, expectClose, expectEqual } from '../harness.ts';
import { fetchJson, library } from '../library.ts';

/**
 * Real models against onnxruntime, where WEBGPU_BERT_ZH and WEBGPU_BERT_E5 name their folders: bge-small-zh (Chinese, 4 layers)
 * and e5-small-v2 (12 layers), rebuilt from the ONNX files of the Maven packages dev.langchain4j:langchain4j-embeddings-bge-small-zh
 * and -e5-small-v2, 1.1.0-beta7. Goldens: tests/fixtures/tools/onnx_goldens.py.
 */

interface Goldens {
  reference: string;
  pooling: 'cls' | 'mean';
  cases: { text: string; input_ids: number[]; embedding: number[] }[];
}
/** Texts that say the same, by their places among the goldens. */
const PAIRS: Record<string, [number, number][]> = {
  '/bge-small-zh/': [
    [0, 1],
    [2, 3],
  ],
  '/e5-small-v2/': [[2, 3]],
};

check('which real models are here', log => log(models.join(', ') || 'none'));

for (const url of models) {
  check(`${url}: ids, embeddings within 1e-5 of onnxruntime, paraphrases nearest`, async log => {
    const { pooling, cases, reference } = await fetchJson<Goldens>(`/fixtures/${url.slice(1, -1)}.json`);
    const began = performance.now();
    const extractor = await library.pipeline('feature-extraction', url, { device: await sharedDevice() });
    const loaded = performance.now();
    for (const { text, input_ids } of cases) {
      const { input_ids: ids } = extractor.tokenizer(text, { return_tensor: false });
      expectEqual(ids, input_ids, `ids of ${text}`);
    }
    const texts = cases.map(({ text }) => text);
    const out = await extractor(texts, { pooling, normalize: true });
    const rows = out.tolist() as number[][];
    const worst = cases.map(({ text, embedding }, i) =>
      expectClose(rows[i]!, embedding, { label: text, absolute: 1e-5 }),
    );
    const dot = (a: number, b: number) => rows[a]!.reduce((sum, v, i) => sum + v * rows[b]![i]!, 0);
    for (const [a, b] of PAIRS[url] ?? []) {
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const others = texts.map((_, i) => i).filter(i => i !== one);
        const [nearest] = others.sort((x, y) => dot(one, y) - dot(one, x));
        expectEqual(texts[nearest!], texts[other], `the nearest to ${texts[one]}`);
        log(`${texts[one]} ~ ${texts[other]}: ${dot(one, other).toFixed(3)}, next ${dot(one, others[1]!).toFixed(3)}`);
      }
    }
    await extractor.dispose();
    log(
      `${reference}: largest difference ${Math.max(...worst).toExponential(1)}; loaded ${Math.round(loaded - began)} ms`,
    );
  });
}
