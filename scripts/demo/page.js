// @ts-expect-error the build, as any page would import it
import { env, pipeline } from '/dist/webgpu-bert.js';

/** What `npm run demo` runs in the page: everything that a site would write to search its sentences by meaning. */

// Of a model that comes with the page, no file is looked for elsewhere.
env.allowLocalModels = true;
env.localModelPath = '/models/';
env.allowRemoteModels = false;

const model = 'sentence-transformers/all-MiniLM-L6-v2';

/**
 * @param {string} question @param {string[]} lines
 * @returns {Promise<import('../demo.mjs').Findings>}
 */
async function search(question, lines) {
  const began = performance.now();
  const extractor = await pipeline('feature-extraction', model, {
    progress_callback: (/** @type {object} */ event) => console.log(`progress ${JSON.stringify(event)}`),
  });
  const options = { pooling: 'mean', normalize: true };
  const [query] = (await extractor([question], options)).tolist();
  const firstMs = performance.now() - began;

  const embed = async () => (await extractor(lines, options)).tolist();
  const vectors = await embed();
  const again = performance.now();
  await embed();
  const warmMs = performance.now() - again;

  // Of vectors of length 1 the dot product is the cosine.
  const scores = vectors.map((/** @type {number[]} */ vector) => vector.reduce((sum, x, i) => sum + x * query[i], 0));
  const { attention_mask } = await extractor.tokenizer(lines, { padding: true, truncation: true });
  let tokens = 0;
  for (const mark of attention_mask.data) tokens += Number(mark);
  const { adapter } = extractor.model;
  await extractor.dispose();
  return { scores, tokens, firstMs, warmMs, adapter };
}

Object.assign(globalThis, { search });
