// deno run --allow-all embed.ts MODEL TEXT...     MODEL: a hub id, a URL or a directory
import { pipeline } from 'webgpu-bert';

const [model = 'sentence-transformers/all-MiniLM-L6-v2', ...texts] = Deno.args;
const extractor = await pipeline('feature-extraction', model);
const rows = await extractor(texts.length > 0 ? texts : ['The cat sleeps.'], { pooling: 'model' });
for (const row of rows.tolist()) console.log(JSON.stringify(row));
await extractor.dispose();
