import { describe, expect, it } from 'vitest';
import { compared, mismatch } from '../examples/lab/attention/compare.ts';
import { orderedHeads, overviewGrid, placeAfterKey, strongestHead } from '../examples/lab/attention/layout.ts';
import { PATTERNS, patternIndex } from '../examples/lab/attention/patterns.ts';
import { curves, matrixLayout, shownTokens, shownWeights } from '../examples/lab/attention/scene.ts';
import { snapshotOf, viewOfSnapshot } from '../examples/lab/attention/snapshot.ts';
import { type AttentionSource, readAttention } from '../examples/lab/attention/source.ts';
import { thumbnailOf, writeThumbnail } from '../examples/lab/attention/thumbnails.ts';
import type { AttentionToken } from '../examples/lab/attention/types.ts';

const words = (text: string, segment: 0 | 1): AttentionToken[] =>
  text
    .split(' ')
    .filter(Boolean)
    .map((word, i) => ({ text: word, segment, word: segment * 1000 + i, wordText: word }));

interface Call {
  readonly layers: readonly number[];
  readonly ids: readonly number[];
}

/** A model whose head h of layer l looks h tokens ahead, in a circle. */
function fakeSource({ layers = 3, heads = 2, shift = 0 } = {}): AttentionSource & { calls: Call[] } {
  const calls: Call[] = [];
  return {
    name: 'fake',
    layers,
    heads,
    maskId: 99,
    calls,
    tokenize(text, pair, most) {
      const all = [...words(text, 0), ...words(pair ?? '', 1)];
      const tokens = all.slice(0, most);
      return { ids: tokens.map((_, i) => i), typeIds: tokens.map(() => 0), tokens, wholeLength: all.length };
    },
    async run({ ids }, wanted, { guess, signal }) {
      signal?.throwIfAborted();
      calls.push({ layers: wanted, ids });
      const L = ids.length;
      const maps = wanted.map(() => {
        const map = new Float32Array(heads * L * L);
        for (let h = 0; h < heads; h++) for (let i = 0; i < L; i++) map[(h * L + i) * L + ((i + h + shift) % L)] = 1;
        return map;
      });
      return { maps, guesses: new Map(guess.map(i => [i, [{ text: 'word', score: 1 }]])) };
    },
  };
}

const text = (length: number) => Array.from({ length }, (_, i) => `w${i}`).join(' ');

describe('reading attention', () => {
  it('a short text is read in one call, and no head asks again', async () => {
    const source = fakeSource();
    const view = await readAttention(source, text(10));
    expect(source.calls.map(call => call.layers)).toEqual([[0, 1, 2]]);
    expect((await view.map(2, 1))[1]).toBe(1);
    expect(source.calls).toHaveLength(1);
    expect(view.scores).toHaveLength(6 * PATTERNS.length);
    expect(view.scores[1 * PATTERNS.length + patternIndex('next')]).toBe(1);
  });

  it('a long text is read by a few layers at a time, and one layer of it is kept', async () => {
    const source = fakeSource({ layers: 24, heads: 16 });
    const view = await readAttention(source, text(256));
    const bytes = 16 * 256 * 256 * 4;
    const most = Math.max(...source.calls.map(call => call.layers.length));
    expect(most * bytes).toBeLessThanOrEqual(32e6);
    expect(source.calls.flatMap(call => call.layers)).toEqual(Array.from({ length: 24 }, (_, i) => i));
    const before = source.calls.length;
    await view.map(3, 0);
    await view.map(3, 5);
    expect(source.calls.slice(before).map(call => call.layers)).toEqual([[3]]);
  });

  it('more than 256 tokens are cut, and the view says of how many', async () => {
    const view = await readAttention(fakeSource(), text(300));
    expect(view.tokens).toHaveLength(256);
    expect(view.cutFrom).toBe(300);
    expect((await readAttention(fakeSource(), text(256))).cutFrom).toBeUndefined();
  });

  it('masked tokens are given as the mask, marked, and guessed; a place that is not there is none', async () => {
    const source = fakeSource();
    const view = await readAttention(source, text(5), { masked: [1, 44] });
    expect(source.calls[0]!.ids).toEqual([0, 99, 2, 3, 4]);
    expect(view.tokens.map(token => token.isMasked ?? false)).toEqual([false, true, false, false, false]);
    expect([...view.guesses.keys()]).toEqual([1]);
  });

  it('an aborted reading rejects with the reason', async () => {
    const stop = new AbortController();
    stop.abort(new Error('newer text'));
    await expect(readAttention(fakeSource(), text(5), { signal: stop.signal })).rejects.toThrow('newer text');
  });
});

describe('snapshots', () => {
  it('come back within one of 256 levels', async () => {
    const view = await readAttention(fakeSource(), 'a b c', { pair: 'd e' });
    const back = viewOfSnapshot(JSON.parse(JSON.stringify(await snapshotOf(view))));
    expect([back.text, back.pair, back.layers, back.heads]).toEqual(['a b c', 'd e', 3, 2]);
    expect([...(await back.map(1, 1))]).toEqual([...(await view.map(1, 1))]);
    expect([...back.thumbnails.data]).toEqual([...view.thumbnails.data]);
  });

  it('one that does not hold what it says is refused', async () => {
    const snapshot = await snapshotOf(await readAttention(fakeSource(), 'a b c'));
    expect(() => viewOfSnapshot({ ...snapshot, layers: 4 })).toThrow('4 x 2 heads');
  });
});

describe('comparison', () => {
  it('is the difference of two readings of one shape', async () => {
    const [one, other] = await Promise.all([0, 1].map(shift => readAttention(fakeSource({ shift }), text(4))));
    const { view, differences } = compared(one!, other!)!;
    const map = await view.map(0, 0);
    expect([map[0], map[1]]).toEqual([1, -1]);
    expect([differences[0], differences[1]]).toEqual([1, -1]);
  });

  it('says why there is none', async () => {
    const four = await readAttention(fakeSource(), text(4));
    expect(mismatch(four, await readAttention(fakeSource(), text(5)))).toContain('4 and 5 tokens');
    expect(mismatch(four, await readAttention(fakeSource({ heads: 4 }), text(4)))).toContain('3 × 4');
    expect(compared(four, await readAttention(fakeSource(), text(5)))).toBeUndefined();
  });
});

describe('thumbnails', () => {
  it('a diagonal stays one where several tokens share a pixel', () => {
    const L = 100;
    const map = new Float32Array(L * L);
    for (let i = 0; i < L; i++) map[i * L + i] = 1;
    const into = new Uint8Array(48 * 48);
    writeThumbnail(map, L, into);
    for (let k = 0; k < 48; k++) expect(into[k * 48 + k]).toBe(255);
    expect(into.filter(level => level > 0)).toHaveLength(48);
    expect(thumbnailOf({ side: 2, data: Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]) }, 1)).toEqual(
      Uint8Array.from([5, 6, 7, 8]),
    );
  });
});

describe('layout', () => {
  const scores = new Float32Array(3 * PATTERNS.length);
  const next = patternIndex('next');
  scores[next] = 0.5;
  scores[PATTERNS.length + next] = 0.1;
  scores[2 * PATTERNS.length + next] = 0.9;

  it('heads by layers, by a pattern, and only those that have it', () => {
    expect(orderedHeads(scores, {})).toEqual([0, 1, 2]);
    expect(orderedHeads(scores, { sort: 'next' })).toEqual([2, 0, 1]);
    expect(orderedHeads(scores, { sort: 'next', filter: 'next' })).toEqual([2, 0]);
    expect(strongestHead(scores, 'next')).toBe(2);
  });

  it.each([
    [300, 72, 12],
    [300, 384, 16],
    [560, 144, 12],
    [800, 384, 16],
  ])('in %i pixels, %i heads fit, a finger apart, layers in whole rows', (width, count, heads) => {
    const { columns, rows, cell, gap } = overviewGrid(width, count, heads);
    expect(columns * (cell + gap)).toBeLessThanOrEqual(width);
    expect(cell + gap).toBeGreaterThanOrEqual(24);
    expect(columns * rows).toBeGreaterThanOrEqual(count);
    expect(heads % columns).toBe(0);
  });

  it('arrows stay inside', () => {
    expect(placeAfterKey('ArrowLeft', 0, 72, 12)).toBe(0);
    expect(placeAfterKey('ArrowDown', 3, 72, 12)).toBe(15);
    expect(placeAfterKey('ArrowDown', 65, 72, 12)).toBe(65);
    expect(placeAfterKey('End', 0, 72, 12)).toBe(71);
    expect(placeAfterKey('Enter', 0, 72, 12)).toBeUndefined();
  });
});

describe('one head, large', () => {
  const tokens: AttentionToken[] = [
    { text: '[CLS]', segment: null, special: 'start', word: null, wordText: '' },
    ...words('a b', 0),
    ...words('c', 1),
  ];
  const map = Float32Array.from([0.1, 0.2, 0.3, 0.4, 0.7, 0.1, 0.1, 0.1, 0, 0.5, 0, 0.5, 0.25, 0.25, 0.25, 0.25]);
  const options = { threshold: 0, hideSpecial: false, crossOnly: false };

  it('hides special tokens, and shows the first text to the second only', () => {
    expect(shownTokens(tokens, { hideSpecial: true, crossOnly: false }).from).toEqual([1, 2, 3]);
    expect(shownTokens(tokens, { hideSpecial: false, crossOnly: true })).toEqual({ from: [1, 2], to: [3] });
  });

  it('weights from the threshold on, the strongest last', () => {
    const shown = shownWeights(map, tokens, { ...options, threshold: 0.5 });
    expect(shown.map(({ from, to }) => [from, to])).toEqual([
      [2, 1],
      [2, 3],
      [1, 0],
    ]);
    expect(shownWeights(map, tokens, { ...options, focus: 2 }).every(({ from }) => from === 2)).toBe(true);
  });

  it('curves begin and end at the middle of their rows', () => {
    const shown = shownTokens(tokens, { hideSpecial: true, crossOnly: false });
    const weights = shownWeights(map, tokens, { ...options, hideSpecial: true, threshold: 0.5 });
    const [curve] = curves(weights, shown, { rowHeight: 20, width: 100 });
    expect([curve!.x1, curve!.y1, curve!.x2, curve!.y2]).toEqual([0, 30, 100, 10]);
  });

  it('a matrix of many tokens has no labels', () => {
    expect(matrixLayout(20, 400)).toEqual({ cell: 20, hasLabels: true });
    expect(matrixLayout(200, 400)).toEqual({ cell: 3, hasLabels: false });
  });
});
