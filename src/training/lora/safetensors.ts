/** A tensor as it is to be written. */
export interface WrittenTensor {
  readonly name: string;
  /** As in the header: 'F32'. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Blob;
}
export function safetensorsFile(
  name: string,
  tensors: readonly WrittenTensor[],
  metadata: Readonly<Record<string, string>>,
): File {
  const sorted = [...tensors].sort((a, b) => widthOf(b) - widthOf(a) || (a.name < b.name ? -1 : 1));
  let end = 0;
  const entries = sorted.map(({ name, dtype, shape, bytes }): [string, unknown] => {
    const begin = end;
    end += bytes.size;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])));
  const header = new Uint8Array(8 * Math.ceil((8 + json.length) / 8)).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return new File([header, ...sorted.map(({ bytes }) => bytes)], name);
}
const widthOf = ({ dtype }: WrittenTensor): number => Number(dtype.slice(-2)) || 8;
