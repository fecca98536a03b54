import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { CheckpointError } from '../src/errors.ts';
import { AutoModelForMaskedLM } from '../src/index.ts';
import { thrown } from './source-environment.ts';

/** DeBERTa has two masked-LM heads, of which config.json names one. Where the file has the other, Python computes with random numbers. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

test.each([
  [
    'deberta-MaskedLM',
    true,
    /lacks the tensor "cls\..*lm_predictions\.lm_head\.\*: set "legacy": false in config\.json/s,
  ],
  ['deberta-v2-MaskedLM', undefined, undefined],
])('%s with "legacy": %s', async (name, legacy, message) => {
  const read = (file: string) =>
    new Uint8Array(readFileSync(new URL(`fixtures/interpreter/${name}/${file}`, import.meta.url)));
  const config = JSON.parse(new TextDecoder().decode(read('config.json')));
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, ...(legacy !== undefined && { legacy }) }));
  const files = { 'config.json': changed, 'model.safetensors': read('model.safetensors') };
  if (message === undefined) {
    const model = await AutoModelForMaskedLM.from_pretrained(files);
    await model.dispose();
    return;
  }
  const error = await thrown(AutoModelForMaskedLM.from_pretrained(files));
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error.message).toMatch(message);
});
