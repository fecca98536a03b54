/** Numbers of 16 bits, as files and packed weights have them. Every machine with WebGPU is little-endian, as they are. */

/** The values of IEEE 754 binary16. */
export function halvesToFloats(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(halves.length);
  const floats = new Float32Array(words.buffer);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i]!;
    words[i] = ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
    // Infinities and NaN keep their exponent of ones. The bias of the other exponents is 15, not 127: a factor of 2^112.
    if ((bits & 0x7c00) === 0x7c00) words[i]! |= 0x7f800000;
    else floats[i]! *= 2 ** 112;
  }
  return floats;
}

/** The bits of a positive number without the lowest `dropped` ones, rounded to nearest; of two as near, the even one. */
const rounded = (bits: number, dropped: number): number =>
  (bits + (1 << (dropped - 1)) - 1 + ((bits >>> dropped) & 1)) >>> dropped;

/** The nearest whole number of a positive one; of two as near, the even one. */
function roundedToEven(number: number): number {
  const below = Math.floor(number);
  const rest = number - below;
  return below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
}

/** IEEE 754 binary16, rounded to nearest even. Finite numbers from 65520 on become infinite, as in PyTorch; NaN stays NaN. */
export function floatsToHalves(floats: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Uint16Array.from(words, (word, i) => {
    const sign = (word >>> 16) & 0x8000;
    const bits = word & 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    // Below 2^-14, the smallest normal half, halves are the multiples of 2^-24.
    if (bits < 0x38800000) return sign | roundedToEven(Math.abs(floats[i]!) * 2 ** 24);
    return sign | Math.min(rounded(bits - 0x38000000, 13), 0x7c00);
  });
}

/** bfloat16, the upper half of a float32, rounded to nearest even; NaN stays NaN. */
export function floatsToBrains(floats: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Uint16Array.from(words, word => {
    const sign = (word >>> 16) & 0x8000;
    const bits = word & 0x7fffffff;
    return sign | (bits > 0x7f800000 ? 0x7fc0 : rounded(bits, 16));
  });
}
