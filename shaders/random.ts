/**
 * `fn pcg4d(v: vec4u) -> vec4u`: four words that look random for every four words, of any number of bits that change (Jarzynski and Olano,
 * JCGT 9(3), 2020).
 */
export const PCG4D = `fn pcg4d(input: vec4u) -> vec4u {
  var v = input * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4u(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}`;
