import { attention } from '../../shaders/attention.ts';
import {
  attentionBiasPartials,
  attentionKeyGradient,
  attentionQueryGradient,
} from '../../shaders/attention-backward.ts';
import { attentionBiasGradient } from '../../shaders/attention-bias-gradient.ts';
import { attentionDelta } from '../../shaders/attention-delta.ts';
import { attentionMoments } from '../../shaders/attention-moments.ts';
import { distanceTable } from '../../shaders/distance-table.ts';
import { WHOLE_GRID } from '../../shaders/kernel.ts';
import { attentionVariant, biasOperands, type Value, WIDEST_WINDOW } from '../plan/index.ts';
import type { AttendOp } from './attention-op.ts';
import { type Choosing, dropoutParams, gradientState } from './choosing.ts';
import type { DeviceTrainingOp } from './device-op.ts';
import { type DistanceSteps, distanceSteps, forwardTerms } from './distances.ts';
import type { TrainingStep } from './step.ts';

/** The ops of attention and of the gradients of all that it reads. */
export type AttentionStepOp = Extract<
  DeviceTrainingOp,
  {
    op: 'attend' | 'attentionDelta' | 'attentionBackward' | 'biasBackward' | 'distancesBackward' | 'distanceTable';
  }
>;

/** What chooses the kernels of attention. */
export function attentionSteps({ profile, like, made }: Choosing): (op: AttentionStepOp) => TrainingStep[] {
  function attend(op: AttendOp): TrainingStep {
    const { qkv, scale, context, statistics, window, dropout } = op;
    const plain = { ...op, op: 'attention', probabilities: undefined, asScores: false } as const;
    const distances = forwardTerms(op);
    const variant = {
      ...attentionVariant(plain),
      statistics: true,
      ...(dropout && { dropout: true }),
      ...(distances && { distances: distances.variant }),
    };
    const kernel = attention(variant, profile.attention(op.headSize), profile.target.texture);
    return made(
      op,
      kernel,
      context,
      { tiles: 'tiles', qkv, ...biasOperands(plain), ...distances?.operands, context, statistics },
      {
        tiles: 'tiles',
        scale,
        ...(window !== undefined && { window: Math.min(window, WIDEST_WINDOW) }),
        ...(dropout && dropoutParams(dropout, 'dropout', 'dropout_scale')),
        ...WHOLE_GRID,
      },
    );
  }

  /** What the kernels of attention's backward pass have in common. */
  function attentionBackward(forward: AttendOp, dcontext: Value, delta: Value) {
    const { heads, keyHeads, headSize, qkv, statistics, bias, window, scale, dropout } = forward;
    const variant = {
      heads,
      keyHeads,
      headSize,
      window: window !== undefined,
      slopes: bias?.kind === 'slopes',
      ...(bias?.kind === 'buckets' && { buckets: bias.buckets }),
      ...(dropout && { dropout: true }),
    };
    // The buckets stand in the text of these kernels.
    const { buckets: _, ...operands } = biasOperands({
      ...forward,
      op: 'attention',
      probabilities: undefined,
      asScores: false,
    });
    return {
      variant,
      operands: { tiles: 'tiles' as const, qkv, dcontext, statistics, delta, ...operands },
      params: {
        tiles: 'tiles',
        scale,
        ...(window !== undefined && { window: Math.min(window, WIDEST_WINDOW) }),
        ...(dropout && dropoutParams(dropout, 'dropout', 'dropout_scale')),
        ...WHOLE_GRID,
      },
    };
  }

  /** The backward pass of an attention with terms of distances. */
  const distancesOf = (forward: AttendOp, dcontext: Value, delta: Value): DistanceSteps =>
    distanceSteps(forward, {
      dcontext,
      delta,
      profile,
      dropout: forward.dropout && dropoutParams(forward.dropout, 'dropout', 'dropout_scale'),
    });

  return op => {
    switch (op.op) {
      case 'attend':
        return [attend(op)];
      case 'attentionDelta': {
        const { heads, headSize, context, statistics, dcontext, delta } = op;
        const rows = { rows: context.rows };
        if (statistics) {
          const operands = { dcontext, context, statistics, moments: delta };
          return [made(op, attentionMoments({ heads, headSize }), delta, operands, rows)];
        }
        return [made(op, attentionDelta({ heads, headSize }), delta, { dcontext, context, delta }, rows)];
      }
      case 'attentionBackward': {
        const { part, forward, dcontext, delta, dqkv } = op;
        if (forward.terms) {
          const { queryGradient, keyGradient } = distancesOf(forward, dcontext, delta);
          const { kernel, operands, params } = part === 'queries' ? queryGradient() : keyGradient();
          return [made(op, kernel, dqkv, { ...operands, dqkv }, params)];
        }
        const { variant, operands, params } = attentionBackward(forward, dcontext, delta);
        const make = part === 'queries' ? attentionQueryGradient : attentionKeyGradient;
        const kernel = make(variant, profile.attention(forward.headSize), profile.target.texture);
        return [made(op, kernel, dqkv, { ...operands, dqkv }, params)];
      }
      case 'biasBackward': {
        const { forward, dcontext, delta, gradient } = op;
        const { variant, operands, params } = attentionBackward(forward, dcontext, delta);
        const { heads, headSize, bias } = forward;
        if (bias?.kind !== 'buckets') throw new Error('plan: only buckets have a table');
        const rows = bias.bias.count;
        const sums = { ...variant, buckets: bias.buckets, rows };
        const kernel = attentionBiasPartials(sums, profile.attention(headSize), profile.target.texture);
        const partials = like({ rows: 'tokens', columns: heads * rows }, `${gradient.name}.partials`);
        const total = attentionBiasGradient({ heads, rows });
        return [
          made(op, kernel, partials, { ...operands, partials }, params),
          made(op, total, partials, { partials, gradient: gradientState(gradient) }, { tiles: 'tiles' }),
        ];
      }
      case 'distancesBackward': {
        const { forward, dcontext, delta, dtables } = op;
        const { tableGradient } = distancesOf(forward, dcontext, delta);
        const { kernel, sums, operands, params, columns } = tableGradient();
        const partials = like({ rows: dtables.rows, columns }, `${dtables.name}.partials`);
        return [
          made(op, kernel, partials, { ...operands, partials }, params),
          made(op, sums, dtables, { partials, dtables }, { rows: dtables.rows }),
        ];
      }
      case 'distanceTable': {
        const { x, y } = op;
        return [made(op, distanceTable({ columns: x.columns }), y, { x, y }, { rows: x.rows })];
      }
      default:
        return op satisfies never;
    }
  };
}
