import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { loadAttentionModel } from '../examples/lab/attention/model-source.ts';
import * as library from '../src/index.ts';

/** The lab's attention of real models: whatever a family gives for attentions, the rows that are drawn are probabilities. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const read = (file: string) => new Uint8Array(readFileSync(new URL(`fixtures/${file}`, import.meta.url)));

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface Expected {
  readonly cases: readonly {
    readonly input_ids: readonly number[];
    readonly token_type_ids: readonly number[];
    readonly outputs: { attentions?: readonly Numbers[] };
  }[];
}

const softmax = (row: readonly number[]) => {
  const powers = row.map(score => Math.exp(score));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
};

describe.each([
  ['squeezebert-Model', softmax],
  ['bert-Model', (row: readonly number[]) => row],
  // Fewer heads than config.json names, and more layers.
  ['convbert-Model', (row: readonly number[]) => row],
  ['albert-inner-Model', (row: readonly number[]) => row],
])('%s', (folder, probabilities) => {
  it('is drawn by the probabilities', async () => {
    const files = {
      'config.json': read(`interpreter/${folder}/config.json`),
      'model.safetensors': read(`interpreter/${folder}/model.safetensors`),
      'tokenizer.json': read('random/bert-base/tokenizer.json'),
      'tokenizer_config.json': read('random/bert-base/tokenizer_config.json'),
    };
    const expected: Expected = JSON.parse(new TextDecoder().decode(read(`interpreter/${folder}/expected.json`)));
    const { source, dispose } = await loadAttentionModel(library, files, { name: folder });
    const cases = expected.cases.filter(({ outputs, input_ids }) => outputs.attentions && input_ids.length > 1);
    expect(cases).not.toEqual([]);
    for (const { input_ids: ids, token_type_ids: typeIds, outputs } of cases) {
      const attentions = outputs.attentions!;
      expect([source.layers, source.heads]).toEqual([attentions.length, attentions[0]!.shape[1]]);
      const input = { ids, typeIds, tokens: [], wholeLength: ids.length };
      const { maps } = await source.run(input, [...attentions.keys()], { guess: [], signal: undefined });
      attentions.forEach(({ data }, layer) => {
        const L = ids.length;
        for (let row = 0; row < data.length / L; row++) {
          const drawn = maps[layer]!.subarray(row * L, (row + 1) * L);
          probabilities(data.slice(row * L, (row + 1) * L)).forEach((wanted, i) => {
            expect(drawn[i]).toBeCloseTo(wanted, 5);
          });
        }
      });
    }
    await dispose();
  });
});
