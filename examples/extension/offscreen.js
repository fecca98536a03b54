/** The document that nobody sees: it holds the model and answers `{ query, texts }` with the texts' similarities, the best first. */
import { cos_sim, isSupported, pipeline } from './lib/webgpu-bert.js';

const usual = 'sentence-transformers/all-MiniLM-L6-v2';
let loaded;

/** The model is loaded once, and again only where another one is asked for or the load failed. */
async function extractorOf(model = usual) {
  if (loaded?.model === model) return loaded.promise;
  const before = loaded?.promise;
  const promise = pipeline('feature-extraction', model);
  loaded = { model, promise };
  promise.catch(() => {
    if (loaded?.promise === promise) loaded = undefined;
  });
  before?.then(old => old.dispose()).catch(() => undefined);
  return promise;
}

async function rank({ query, texts, model }) {
  const { ok, reason, next } = await isSupported();
  if (!ok) throw new Error(`${reason} ${next}`);
  const extractor = await extractorOf(model);
  const [question] = (await extractor.encode_query([query])).tolist();
  const rows = (await extractor.encode_document(texts)).tolist();
  const scores = rows.map((row, index) => ({ index, score: cos_sim(question, row) }));
  return { ranking: scores.sort((a, b) => b.score - a.score) };
}

chrome.runtime.onMessage.addListener((message, _sender, answer) => {
  if (message.to !== 'offscreen') return;
  rank(message).then(answer, error => answer({ error: error.message }));
  return true;
});
