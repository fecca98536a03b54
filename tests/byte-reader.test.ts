import { afterEach, beforeEach, expect, test } from 'vitest';
import { piecesOf } from '../src/checkpoint/source/bytes.ts';
import { copiedToCache } from '../src/checkpoint/source/cache.ts';

const { transfer } = ArrayBuffer.prototype as ArrayBuffer & { transfer?: unknown };
// Node 20 has no ArrayBuffer.prototype.transfer; that it detaches is what matters here.
beforeEach(() => {
  Object.defineProperty(ArrayBuffer.prototype, 'transfer', {
    configurable: true,
    value(this: ArrayBuffer) {
      return structuredClone(this, { transfer: [this] });
    },
  });
});
afterEach(() => {
  Object.defineProperty(ArrayBuffer.prototype, 'transfer', { configurable: true, value: transfer });
});

const made = (count: number) => Array.from({ length: count }, (_, i) => new Uint8Array(1000).fill(i + 1));

function streamOfPieces(pieces: Uint8Array[], type?: 'bytes'): ReadableStream<Uint8Array> {
  const left = [...pieces];
  const pull = (controller: ReadableByteStreamController | ReadableStreamDefaultController<Uint8Array>) => {
    const piece = left.shift();
    if (piece) controller.enqueue(piece as Uint8Array<ArrayBuffer>);
    else controller.close();
  };
  return type ? new ReadableStream({ type, pull }) : new ReadableStream({ pull });
}

test('of a byte stream one piece is alive at a time', async () => {
  const seen: Uint8Array[] = [];
  for await (const piece of piecesOf(streamOfPieces(made(50), 'bytes'))) {
    expect(piece[999]).toBe(seen.length + 1);
    seen.push(piece);
    expect(seen.filter(({ length }) => length > 0)).toHaveLength(1);
  }
  expect(seen).toHaveLength(50);
});

test('the pieces of another stream may be its own, and stay as they are', async () => {
  const pieces = made(5);
  for await (const _ of piecesOf(streamOfPieces(pieces)));
  expect(pieces.map(piece => piece[999])).toEqual([1, 2, 3, 4, 5]);
});

test.each([true, false])(
  'a cache gets copies, which are given back only where it lends itself to that (%s)',
  async lends => {
    const pieces = made(50);
    async function* bytes() {
      // As piecesOf does: what was handed out is gone when the next is asked for.
      for (const piece of pieces) {
        yield piece;
        piece.fill(0);
      }
    }
    const got: Uint8Array[] = [];
    const sums: number[] = [];
    const keep = async (body: ReadableStream<Uint8Array>) => {
      for await (const piece of body) {
        got.push(piece);
        await new Promise(resolve => setTimeout(resolve, 1));
        sums.push(piece[0]! + piece[999]!);
      }
    };
    let read = 0;
    for await (const piece of copiedToCache(bytes(), { keep, mayDetach: lends })) read += piece.length;
    expect(read).toBe(50_000);
    expect(sums).toEqual(Array.from({ length: 50 }, (_, i) => 2 * (i + 1)));
    const alive = got.filter(({ length }) => length > 0).length;
    // The last one may never be followed by a request for another.
    if (lends) expect(alive).toBeLessThanOrEqual(1);
    else expect(alive).toBe(50);
  },
);
