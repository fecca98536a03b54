import { describe, expect, it } from 'vitest';
import { type AdamWOptions, adamw, clip } from './update-reference.ts';

const GRADIENTS = [
  [0.3, -0.2, 0.1, 0],
  [3, -4, 0, 0],
  [-0.1, 0.5, 0.2, 0],
];
const COMMON = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, decay: 0.1 };

/** The weights after each step, the gradient clipped to the length 1. */
function run(options: AdamWOptions): number[][] {
  const state = { weight: Float64Array.of(0.5, -1, 2, 0), m: new Float64Array(4), v: new Float64Array(4) };
  return GRADIENTS.map((gradient, i) => {
    const { factor } = clip(gradient, 1);
    adamw(
      state,
      gradient.map(g => g * factor),
      i + 1,
      options,
    );
    return [...state.weight];
  });
}

describe('the twin of an update', () => {
  it('clips as torch.nn.utils.clip_grad_norm_ does', () => {
    expect(GRADIENTS.map(gradient => clip(gradient, 1).norm)).toEqual([0.37416573867739417, 5, 0.5477225575051662]);
    expect(clip([3, 4], 1).factor).toBeCloseTo(1 / 5.000001, 15);
    expect([clip([3, 4], 0).factor, clip([0, 0], 1).factor]).toEqual([1, 1]);
  });

  it('is torch.optim.AdamW, after torch.nn.utils.clip_grad_norm_(1)', () => {
    // torch 2, float64, lr 0.01, betas (0.9, 0.999), eps 1e-8, weight_decay 0.1.
    const expected = [
      [0.4895000003333333, -0.9890000004999999, 1.9880000009999999, 0],
      [0.47935868006491544, -0.9791672355244493, 1.9793114194054768, 0],
      [0.47244250755550243, -0.9756566489144677, 1.9693027232146187, 0],
    ];
    for (const [i, row] of run({ ...COMMON, kind: 'torch', epsilon: 1e-8 }).entries()) {
      for (const [k, weight] of row.entries()) expect(weight).toBeCloseTo(expected[i]![k]!, 13);
    }
  });

  it("is google-research/bert's AdamWeightDecayOptimizer", () => {
    // The lines of optimization.py in NumPy, with tf.clip_by_global_norm, whose factor lacks the 1e-6.
    const expected = [
      [0.4678805563803224, -0.9673822226078718, 1.9663872202370383, 0],
      [0.42639831430942204, -0.9288338917570613, 1.9359550993038124, 0],
      [0.3941096582461575, -0.915374344031614, 1.8942774182653923, 0],
    ];
    for (const [i, row] of run({ ...COMMON, kind: 'bert', epsilon: 1e-6 }).entries()) {
      for (const [k, weight] of row.entries()) expect(weight).toBeCloseTo(expected[i]![k]!, 7);
    }
  });
});
