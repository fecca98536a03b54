import { describe, expect, it } from 'vitest';
import { activate, activateBackward } from '../shaders/activate.ts';
import type { Activation } from '../shaders/activation.ts';
import { adamw } from '../shaders/adamw.ts';
import { attention } from '../shaders/attention.ts';
import { attentionBiasPartials, attentionKeyGradient, attentionQueryGradient } from '../shaders/attention-backward.ts';
import { attentionBiasGradient } from '../shaders/attention-bias-gradient.ts';
import { attentionDelta } from '../shaders/attention-delta.ts';
import { binaryCrossEntropy } from '../shaders/binary-cross-entropy.ts';
import { clip } from '../shaders/clip.ts';
import {
  depthwiseInput,
  depthwiseWeight,
  dynamicConvolutionInput,
  dynamicConvolutionScores,
} from '../shaders/convolution-backward.ts';
import { cosent } from '../shaders/cosent.ts';
import { crossEntropy } from '../shaders/cross-entropy.ts';
import { dropout } from '../shaders/dropout.ts';
import { add, columnsBackward, columnsOf, scale } from '../shaders/elementwise.ts';
import { gatherBackward } from '../shaders/gather-backward.ts';
import { declarations, type Kernel } from '../shaders/kernel.ts';
import { l2NormBackward } from '../shaders/l2-norm-backward.ts';
import { merge } from '../shaders/merge.ts';
import type { NormVariant } from '../shaders/norm.ts';
import { pairScores, pairScoresBackward } from '../shaders/pair-scores.ts';
import { poolBackward } from '../shaders/pool-backward.ts';
import { queryKeyNormBackward, queryKeyNormPartials, queryKeyNormWeights } from '../shaders/query-key-norm-backward.ts';
import { rotary } from '../shaders/rotary.ts';
import { rowDot, rowDotBackward } from '../shaders/row-dot.ts';
import { rowNormBackward, rowNormWeights } from '../shaders/row-norm-backward.ts';
import { segmentSum } from '../shaders/segment-sum.ts';
import { FLAT_INDEX, FLAT_LANES } from '../shaders/snippets.ts';
import { softmaxGradient, softmaxStatistics } from '../shaders/softmax-tiles.ts';
import { spanCrossEntropy } from '../shaders/span-cross-entropy.ts';
import { squareSum } from '../shaders/square-sum.ts';
import { squaredError } from '../shaders/squared-error.ts';
import { sumRows } from '../shaders/sum-rows.ts';
import { unfoldBackward } from '../shaders/unfold-backward.ts';
import { profileOf } from '../src/plan/profiles.ts';
import { bucketTable } from '../src/plan/relative.ts';
import { GPU, LLVMPIPE, SWIFTSHADER, WORKGROUP_BYTES } from './caps.ts';
import { activations } from './reference.ts';

/** What every kernel of training keeps on every device: limits, names, operands that its text uses. */

const NORMS: NormVariant[] = (['layer', 'rms', 'affine'] as const).flatMap(kind =>
  [true, false].map(unitOffset => ({ kind, beta: true, unitOffset })),
);
const bools = [false, true];
const COLUMNS = [3, 36, 384, 1024];

function kernels(caps: typeof GPU): Kernel[] {
  const { norm: shape, target } = profileOf(caps);
  return [
    ...[...(Object.keys(activations) as Activation[]), undefined].flatMap(activation =>
      [36, 37].flatMap(columns =>
        bools.flatMap(gate => {
          const variant = { columns, activation, gate };
          return [activate(variant), activateBackward(variant)];
        }),
      ),
    ),
    ...COLUMNS.flatMap(columns => [
      ...NORMS.flatMap(norm =>
        bools.flatMap(residual =>
          [
            [true, true],
            [true, false],
            [false, true],
          ].map(([input, weights]) =>
            rowNormBackward({ columns, norm, residual, input: input!, weights: weights! }, shape),
          ),
        ),
      ),
      ...bools.map(beta => rowNormWeights({ columns, beta })),
      rowNormWeights({ columns, gamma: false, beta: true }),
      depthwiseInput({ columns, width: 9 }),
      depthwiseWeight({ columns, width: 9 }),
      ...(['columns', 'rows'] as const).map(order => unfoldBackward({ columns, width: 3, order })),
      ...bools.map(residual => dropout({ columns, residual })),
      gatherBackward({ columns }, shape),
      l2NormBackward({ columns }, shape),
      ...bools.flatMap(wordFactors =>
        bools.flatMap(sliced => bools.map(marked => segmentSum({ columns, wordFactors, sliced, marked }, shape))),
      ),
      columnsOf({ columns, first: 1, count: 2 }),
      ...bools.map(residual => columnsBackward({ columns, first: 0, count: 3, residual })),
      ...bools.map(max => poolBackward({ columns, poolings: 2, kept: 2 * columns, max })),
      poolBackward({ columns, poolings: 1, kept: columns, max: false }),
    ]),
    ...(['head', 'row'] as const).flatMap(span =>
      (['layer', 'rms'] as const).flatMap(kind =>
        bools.flatMap(beta => {
          const variant = { heads: 12, keyHeads: 4, headSize: 64, span, kind, beta, unitOffset: false };
          return [queryKeyNormBackward(variant, shape), queryKeyNormPartials(variant), queryKeyNormWeights(variant)];
        }),
      ),
    ),
    ...(['steps', 'phases', 'frequencies', 'table'] as const).flatMap(angles => {
      const sizes = { heads: 12, keyHeads: 12, headSize: 64, pairs: 32 };
      return bools.map(inverse => rotary({ ...sizes, interleaved: false, turnsValues: false, angles, inverse }));
    }),
    ...[2, 37, 4096, 30522].flatMap(columns => [
      ...bools.flatMap(smoothing => bools.map(weights => crossEntropy({ columns, smoothing, weights }, shape))),
      binaryCrossEntropy({ columns }, shape),
      squaredError({ columns }, shape),
    ]),
    dynamicConvolutionScores({ heads: 6, columns: 64, width: 9 }),
    dynamicConvolutionInput({ heads: 6, columns: 64, width: 9 }),
    spanCrossEntropy(shape),
    ...bools.flatMap(smoothing => [
      softmaxStatistics({ smoothing }, shape),
      softmaxStatistics({ smoothing }, { lanes: 64, rows: 1 }),
      softmaxGradient({ smoothing }),
    ]),
    crossEntropy({ columns: 'param', smoothing: true, weights: true }, shape),
    ...COLUMNS.flatMap(columns => [
      pairScores({ columns }),
      ...(['a', 'b'] as const).map(to => pairScoresBackward({ columns, to })),
      rowDot({ columns }, shape),
      rowDotBackward({ columns }, shape),
    ]),
    ...attentionKernels(caps),
    attentionDelta({ heads: 3, headSize: 20 }),
    attentionBiasGradient({ heads: 3, rows: 32 }),
    ...bools.flatMap(adapter => (['f32', 'f16'] as const).map(base => merge({ base, adapter }, target))),
    merge({ base: undefined, adapter: true }, target),
    ...[cosent(), add(), scale(), sumRows(), clip()],
    ...bools.flatMap(marked => [
      squareSum({ marked }),
      ...(['torch', 'bert'] as const).map(kind => adamw({ kind, marked })),
    ]),
  ];
}

/** The kernels of attention, with head sizes up to the largest whose keys pass through workgroup memory on a GPU. */
function attentionKernels(caps: typeof GPU): Kernel[] {
  const { attention: shapeOf, target } = profileOf(caps);
  return [8, 20, 32, 64, 128, 256].flatMap(headSize => {
    const args = [shapeOf(headSize), target.texture] as const;
    return [4, 2].flatMap(keyHeads =>
      bools.flatMap(dropout =>
        bools.flatMap(window =>
          (['none', 'slopes', 'buckets'] as const).flatMap(bias => {
            const common = { heads: 4, keyHeads, headSize, dropout, window, slopes: bias === 'slopes' };
            const buckets = bias === 'buckets' ? bucketTable(32) : undefined;
            const variant = { ...common, buckets };
            return [
              attention({ ...common, relative: !!buckets, probabilities: false, statistics: true }, ...args),
              attentionQueryGradient(variant, ...args),
              attentionKeyGradient(variant, ...args),
              ...(buckets ? [attentionBiasPartials({ ...variant, buckets, rows: 32 }, ...args)] : []),
            ];
          }),
        ),
      ),
    );
  });
}

describe.each([GPU, SWIFTSHADER, LLVMPIPE])('the kernels of training: $adapter', caps => {
  const all = kernels(caps);

  it('each have a name and a text of their own', () => {
    expect(all.length).toBeGreaterThan(200);
    const names = new Map<string, string>();
    for (const { name, code } of all) {
      expect(names.get(name) ?? code, name).toBe(code);
      names.set(name, code);
    }
    // Two names may have one text: then the pipeline is one, too.
    expect(new Set(names.values()).size).toBeGreaterThan(0.6 * names.size);
  });

  it('use every operand that they declare: the layout of a pipeline has no other', () => {
    for (const { name, code, bindings, params } of all) {
      const body = code.replace(declarations(bindings, params), '');
      expect(body.length, name).toBeLessThan(code.length);
      for (const binding of bindings)
        expect(body, `${name}: ${binding.name}`).toMatch(new RegExp(`\\b${binding.name}(_at)?\\b`));
      expect(body, name).toContain('params.');
      expect(new Set(bindings.map(binding => binding.name)).size, name).toBe(bindings.length);
    }
  });

  it('stay within the limits of every device', () => {
    for (const { name, code, bindings } of all) {
      expect(bindings.length, name).toBeLessThanOrEqual(8);
      const size = /@workgroup_size\(([\d, ]+)\)/.exec(code)![1]!.split(',').map(Number);
      expect(
        size.reduce((a, b) => a * b),
        name,
      ).toBeLessThanOrEqual(128);
      const shared = [...code.matchAll(/var<workgroup> \w+: array<(vec4f|vec2f|f32|u32), (\d+)>/g)];
      expect(shared.length, name).toBe(code.split('var<workgroup>').length - 1);
      const bytes = shared.reduce(
        (sum, [, type, n]) => sum + Number(n) * { vec4f: 16, vec2f: 8, f32: 4, u32: 4 }[type!]!,
        0,
      );
      expect(bytes, name).toBeLessThanOrEqual(WORKGROUP_BYTES);
      expect(code, name).not.toMatch(/\[object|undefined/);
    }
  });

  it('have workgroups of as many invocations as a flat grid counts, where their index is that of one', () => {
    const flat = all.filter(({ code }) => code.includes(FLAT_INDEX));
    expect(flat.length).toBeGreaterThan(10);
    for (const { name, code } of flat) expect(code, name).toContain(`@workgroup_size(${FLAT_LANES})`);
  });

  it('have grids of at most 65,535 workgroups a dimension, for a hundred thousand rows', () => {
    for (const { name, workgroups } of all) {
      // A batch has no more than some thousand sequences, and a forward pass no more tokens than its own kernels take.
      const rows = /^(query key norm|rotary)/.test(name) ? 30_000 : 100_000;
      const grid = workgroups({
        rows,
        columns: 16_384,
        count: 100e6 / 4,
        sequences: 10_000,
        segments: 60_000,
        masked: 10,
        others: 2048,
        tiles: 20_000,
      });
      for (const groups of grid) {
        expect(groups, name).toBeLessThanOrEqual(65_535);
        expect(groups, name).toBeGreaterThan(0);
      }
    }
  });
});
