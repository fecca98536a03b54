import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.ts';
import { type LogEntry, loss_chart } from '../src/training/index.ts';

const history: LogEntry[] = [
  { loss: 2.5, grad_norm: 3, step: 10, epoch: 0.5 },
  { loss: 1.25, step: 20, epoch: 1 },
  { eval_loss: 1.5, eval_accuracy: 0.5, step: 20, epoch: 1 },
  { train_runtime: 3, step: 20 },
];

/** Tags are closed in the order in which they were opened, and no attribute or text is open. */
function isWellFormed(svg: string): boolean {
  const open: string[] = [];
  const rest = svg.replace(
    /<(\/?)(\w+)((?: [\w-]+="[^"<]*")*)(\/?)>/g,
    (_, closes: string, name: string, _rest, isEmpty: string) => {
      if (closes) return open.pop() === name ? '' : '<';
      if (!isEmpty) open.push(name);
      return '';
    },
  );
  return open.length === 0 && !/[<>]/.test(rest);
}

describe('loss_chart', () => {
  test('draws both losses, with axes, ticks and a legend', () => {
    const svg = loss_chart(history);
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" viewBox="0 0 640 320"/);
    expect(svg.match(/<path /g)).toHaveLength(2);
    expect(svg.match(/<circle /g)).toHaveLength(3);
    for (const text of ['training loss 1.25', 'evaluation loss 1.50', '>step<', '>20<', '>2.5<'])
      expect(svg).toContain(text);
    expect(svg).toContain('currentColor');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('draws nothing that is not there', () => {
    expect(loss_chart(history.slice(0, 2))).not.toContain('evaluation');
    expect(loss_chart([])).toContain('No loss has been logged yet');
    expect(isWellFormed(loss_chart([]))).toBe(true);
  });

  test.each([
    [[{ loss: 0.7, step: 1 }]],
    [
      [
        { loss: 0, step: 0 },
        { loss: 0, step: 0 },
      ],
    ],
    [
      [
        { loss: -3e-7, step: 3 },
        { loss: 4e-7, step: 9 },
      ],
    ],
    [
      [
        { loss: 3e8, step: 3 },
        { loss: 4e12, step: 2_000_000 },
      ],
    ],
    [
      [
        { loss: Number.NaN, step: 1 },
        { loss: Number.POSITIVE_INFINITY, step: 2 },
        { loss: 1, step: 3 },
      ],
    ],
  ])('draws what is strange: %j', entries => {
    const svg = loss_chart(entries);
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('stays small for long trainings', () => {
    const long = Array.from({ length: 300_000 }, (_, i) => ({ loss: 1 + Math.sin(i) / 9, step: i + 1 }));
    expect(loss_chart(long).length).toBeLessThan(40_000);
  });

  test('escapes the title', () => {
    const svg = loss_chart(history, { title: '<script>"a" & \'b\'</script>' });
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).not.toContain('<script>');
    expect(svg).toContain('&#60;script&#62;&#34;a&#34; &#38; &#39;b&#39;');
  });

  test('refuses other arguments', () => {
    expect(() => loss_chart(null as unknown as LogEntry[])).toThrow(InputError);
    expect(() => loss_chart(history, { width: 3 })).toThrow(/width is wrong/);
    expect(() => loss_chart(history, { colour: 'red' } as object)).toThrow(/no field "colour"/);
  });
});
