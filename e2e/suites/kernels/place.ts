import { place, type StoredType } from '../../../shaders/place.ts';
import { dispatch } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';

for (const stored of ['F32', 'F16', 'BF16'] as StoredType[]) {
  check(`place ${stored}: heads padded, joined, in pieces`, async () => {
    // [6, 10]: two heads of three rows, each padded to four; columns in groups of five, each padded to eight; from row 8 on.
    const [rows, columns, stride] = [6, 10, 16];
    // Values that all three types hold exactly.
    const values = Float32Array.from({ length: rows * columns }, (_, i) => ((i % 33) - 16) / 8);
    const destination = new Float32Array(stride * 20);
    const bits = (value: number): number => {
      const word = new Uint32Array(Float32Array.of(value).buffer)[0]!;
      if (stored === 'BF16') return word >>> 16;
      const exponent = ((word >>> 23) & 255) - 127;
      return value === 0 ? 0 : ((word >>> 16) & 0x8000) | ((exponent + 15) << 10) | ((word >>> 13) & 0x3ff);
    };
    const encode = (part: Float32Array<ArrayBuffer>) =>
      stored === 'F32' ? part.slice() : Uint16Array.from(part, bits);
    const geometry = { columns, row_offset: 8, row_size: 3, row_padded: 4, column_size: 5, column_padded: 8, stride };
    let found = destination;
    for (const [first, count] of [
      [0, 22],
      [22, 38],
    ] as const) {
      const part = encode(values.slice(first, first + count));
      const words = new Uint32Array(
        new Uint8Array([...new Uint8Array(part.buffer), 0, 0, 0].slice(0, Math.ceil(part.byteLength / 4) * 4)).buffer,
      );
      const out = await dispatch(place(stored), { piece: words, destination: found }, { count, first, ...geometry });
      found = out.destination!;
    }
    const expected = new Float32Array(stride * 20);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        expected[(8 + Math.floor(r / 3) * 4 + (r % 3)) * stride + Math.floor(c / 5) * 8 + (c % 5)] =
          values[r * columns + c]!;
      }
    }
    expectClose(found, expected, { label: stored });
  });
}
