import { describe, expect, it } from 'vitest';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import { packBatch } from '../src/plan/batch.ts';
import { plan } from '../src/plan/plan.ts';
import type { Sequence } from '../src/plan/sequence.ts';
import { GPU } from './caps.ts';

const FREQUENCIES = [1, 0.3, 0.02];
const STRETCHED = { frequencies: FREQUENCIES, stretch: { factor: 2.5, positions: 8 } };
const PAIRS = FREQUENCIES.length;

const sequence = (length: number): Sequence => {
  const positions = Array.from({ length }, (_, i) => i);
  return { ids: positions, positions, types: positions };
};
/** The phases of each sequence, [L, d / 2]. */
function phasesOf(lengths: readonly number[]): number[][] {
  const { phases } = packBatch(lengths.map(sequence), 4, STRETCHED);
  let at = 0;
  return lengths.map(length => {
    at += length * PAIRS;
    return [...phases.subarray(at - length * PAIRS, at)];
  });
}

describe('angles that depend on the length of a sequence', () => {
  it.each([1, 3, 8, 9, 40, 5000])('of %d tokens are those of another base', length => {
    const [phases] = phasesOf([length]);
    // Base b gives b^(-2 i / d); dynamic NTK takes b (s L / M - (s - 1))^(d / (d - 2)) for it.
    const d = 2 * PAIRS;
    const factor = length > 8 ? ((2.5 * length) / 8 - 1.5) ** (d / (d - 2)) : 1;
    for (let position = 0; position < length; position++) {
      for (let i = 0; i < PAIRS; i++) {
        const angle = position * FREQUENCIES[i]! * factor ** ((-2 * i) / d);
        const turned = (phases![position * PAIRS + i]! / 2 ** 32) * 2 * Math.PI;
        expect(Math.abs(Math.cos(turned) - Math.cos(angle))).toBeLessThan(1e-8);
        expect(Math.abs(Math.sin(turned) - Math.sin(angle))).toBeLessThan(1e-8);
      }
    }
  });

  it('are the same bits in any batch', () => {
    const lengths = [5, 40, 9, 1];
    const alone = lengths.map(length => phasesOf([length])[0]);
    expect(phasesOf(lengths)).toEqual(alone);
    expect(phasesOf(lengths.toReversed())).toEqual(alone.toReversed());
  });

  it('are whole vec4u', () => {
    expect(packBatch([sequence(3)], 4, STRETCHED).phases.length).toBe(12);
    expect(packBatch([sequence(3)], 4).phases.length).toBe(0);
  });
});

describe('a plan', () => {
  const config = (rope_type: string) =>
    readConfig({
      model_type: 'nomic_bert',
      vocab_size: 40,
      hidden_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      intermediate_size: 20,
      max_position_embeddings: 64,
      rope_parameters: { rope_type, rope_theta: 1000, factor: 2 },
    });
  const planOf = (rope_type: string) => plan(encoderGraph(config(rope_type), { lastHiddenState: true }), { caps: GPU });

  it('of a model whose frequencies are stretched reads the angles of its tokens', () => {
    const { stretched, steps } = planOf('dynamic');
    expect(stretched).toMatchObject({ stretch: { factor: 2, positions: 64 } });
    const inputs = steps.flatMap(({ args }) =>
      Object.values(args).flatMap(arg => (arg.kind === 'input' ? [arg.input] : [])),
    );
    expect(inputs.filter(input => input === 'phases').length).toBe(2);
  });

  it('of another has none', () => {
    expect(planOf('default').stretched).toBeUndefined();
  });
});
