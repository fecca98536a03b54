import { pipeline } from 'webgpu-bert/worker';

const extractor = await pipeline('feature-extraction', '/model/');
const output = await extractor('hello world', { pooling: 'mean', normalize: true });
document.querySelector('output').textContent = JSON.stringify(output.tolist()[0]);
