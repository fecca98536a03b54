import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readFixture, runFixture } from './training-run.ts';

const names = readdirSync(new URL('./fixtures/training/', import.meta.url))
  .filter(file => file.endsWith('.json'))
  .map(file => file.slice(0, -5));

/** What float64 may round in 20 steps; the fixtures' losses and norms have all their digits, the other numbers nine. */
const FLOAT64 = 1e-8;

/** The largest of |actual - expected|, of the largest expected number or 1. */
function error(actual: ArrayLike<number>, expected: readonly number[], least = 1): number {
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), least);
  return Math.max(...expected.map((v, i) => Math.abs(actual[i]! - v))) / scale;
}

/**
 * Under Adam a parameter whose gradient is 0 in theory moves by what rounding makes of it: key biases shift all scores of a query, and the
 * biases of question answering all logits of a sequence, which changes no probability. So the logits of a question are compared up to a
 * constant; key biases change nothing that is compared.
 */
const centred = (numbers: readonly number[]): number[] => {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return numbers.map(v => v - mean);
};

describe('training runs by the interpreter are those of torch in float64', () => {
  it.each(names)('%s', async name => {
    const fixture = readFixture(name);
    const { losses, norms, first, after } = await runFixture(fixture);
    expect(error(losses, fixture.losses)).toBeLessThan(FLOAT64);
    expect(error(norms, fixture.grad_norms)).toBeLessThan(FLOAT64);
    // The parameters that no output of this head depends on have no gradient at all here, and zeros there.
    const tied = Object.keys(fixture.first_gradients).find(tensor => tensor.endsWith('decoder.weight'));
    const table = [...first.keys()].find(tensor => tensor.endsWith('word_embeddings.weight'))!;
    const idle = Object.keys(fixture.first_gradients).filter(tensor => !first.has(tensor) && tensor !== tied);
    expect(idle.filter(tensor => fixture.first_gradients[tensor]!.some(v => v !== 0))).toEqual([]);
    for (const [tensor, gradient] of first) {
      // torch names a table that is the decoder's, too, by whichever comes first.
      const expected = fixture.first_gradients[tensor === table && tied ? tied : tensor];
      expect(expected, tensor).toBeDefined();
      expect(error(gradient, expected!, 1e-3), tensor).toBeLessThan(FLOAT64);
    }
    for (const [output, expected] of Object.entries(fixture.after)) {
      const rows = after.get(output === 'prediction_logits' ? 'logits' : output);
      const { start_logits: start } = fixture.after;
      if (!start) expect(error(rows!.data, expected), output).toBeLessThan(FLOAT64);
      else {
        const { data, rows: tokens } = after.get('logits')!;
        const column = Number(output === 'end_logits');
        const actual = Array.from({ length: tokens }, (_, i) => data[2 * i + column]!);
        expect(error(centred(actual), centred(expected)), output).toBeLessThan(FLOAT64);
      }
    }
  });
});
