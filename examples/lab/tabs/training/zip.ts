/** A ZIP file (PKWARE's APPNOTE 6.3) of files as they are: weights would hardly be smaller compressed. */

/** The format without its extension of 64 bits counts bytes in 32; a mebibyte is left for names. */
export const MOST_ZIP_BYTES = 2 ** 32 - 2 ** 20;

/** Names are in UTF-8. */
const FLAGS = 0x0800;
/** A date is needed: the first that the format has, 1 January 1980, so that the same files make the same bytes. */
const DATE = (1 << 5) | 1;

/**
 * Files in a folder, of at most MOST_ZIP_BYTES together. They are read piece by piece, and not held.
 * @param folder without a slash; the result is named after it
 */
export async function zipOf(folder: string, files: readonly File[]): Promise<File> {
  const parts: BlobPart[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(`${folder}/${file.name}`);
    // What both the file's own header and the directory say of it.
    const facts = [
      [2, 20],
      [2, FLAGS],
      [2, 0],
      [2, 0],
      [2, DATE],
      [4, await checksum(file)],
      [4, file.size],
      [4, file.size],
      [2, name.length],
      [2, 0],
    ] as const;
    const header = bytesOf([[4, 0x04034b50], ...facts], name);
    parts.push(header, file);
    const more = [
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, offset],
    ] as const;
    directory.push(bytesOf([[4, 0x02014b50], [2, 20], ...facts, ...more], name));
    offset += header.length + file.size;
  }
  const length = directory.reduce((sum, entry) => sum + entry.length, 0);
  const end = bytesOf([
    [4, 0x06054b50],
    [4, 0],
    [2, files.length],
    [2, files.length],
    [4, length],
    [4, offset],
    [2, 0],
  ]);
  return new File([...parts, ...directory, end], `${folder}.zip`, { type: 'application/zip' });
}

/** Numbers, the lowest byte first, and a name behind them. @param numbers of each its bytes, 2 or 4, and its value */
function bytesOf(numbers: readonly (readonly [2 | 4, number])[], name = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const length = numbers.reduce((sum, [size]) => sum + size, 0);
  const bytes = new Uint8Array(length + name.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of numbers) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  bytes.set(name, at);
  return bytes;
}

/** CRC-32 of each byte: the polynomial of ISO 3309, its bits reversed. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

async function checksum(file: File): Promise<number> {
  let value = 0xffffffff;
  const reader = file.stream().getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    for (const byte of piece.value) value = TABLE[(value ^ byte) & 255]! ^ (value >>> 8);
  }
  return (value ^ 0xffffffff) >>> 0;
}
