import { open } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { createInflateRaw } from 'node:zlib';

/**
 * A reader for zip archives (a Python wheel is one): the names from the central directory, and each entry as a stream.
 * Stored and deflated entries below 4 GiB, as PKWARE's APPNOTE.TXT 6.3.10 lays them out; no encryption, no zip64.
 *
 * @typedef {object} ZipEntry
 * @property {string} name
 * @property {number} byteLength Uncompressed.
 * @property {() => Promise<NodeJS.ReadableStream>} open
 *
 * @param {string} path
 * @returns {Promise<{ entries: Map<string, ZipEntry>, close: () => Promise<void> }>}
 */
export async function openZip(path) {
  const file = await open(path);
  try {
    const entries = await readDirectory(file);
    return { entries, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw new Error(`${path} is no zip archive that can be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {import('node:fs/promises').FileHandle} file @param {number} begin @param {number} byteLength */
async function bytesAt(file, begin, byteLength) {
  const bytes = Buffer.alloc(byteLength);
  const { bytesRead } = await file.read(bytes, 0, byteLength, begin);
  if (bytesRead !== byteLength) throw new Error('it ends too early');
  return bytes;
}

/** @param {import('node:fs/promises').FileHandle} file @returns {Promise<Map<string, ZipEntry>>} */
async function readDirectory(file) {
  const { size } = await file.stat();
  // The end record is 22 bytes and a comment of at most 65535.
  const tailLength = Math.min(size, 22 + 0xffff);
  const tail = await bytesAt(file, size - tailLength, tailLength);
  let end = tail.length - 22;
  while (end >= 0 && tail.readUInt32LE(end) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error('it has no end record');
  const directory = await bytesAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));

  /** @type {Map<string, ZipEntry>} */
  const entries = new Map();
  let offset = 0;
  for (let left = tail.readUInt16LE(end + 10); left > 0; left -= 1) {
    if (directory.readUInt32LE(offset) !== 0x02014b50) throw new Error('its directory is damaged');
    const method = directory.readUInt16LE(offset + 10);
    const packedLength = directory.readUInt32LE(offset + 20);
    const byteLength = directory.readUInt32LE(offset + 24);
    const nameLength = directory.readUInt16LE(offset + 28);
    const headerOffset = directory.readUInt32LE(offset + 42);
    const name = directory.toString('utf8', offset + 46, offset + 46 + nameLength);
    offset += 46 + nameLength + directory.readUInt16LE(offset + 30) + directory.readUInt16LE(offset + 32);
    entries.set(name, { name, byteLength, open: () => entryStream(file, headerOffset, packedLength, method) });
  }
  return entries;
}

/**
 * @param {import('node:fs/promises').FileHandle} file
 * @param {number} headerOffset @param {number} packedLength @param {number} method
 */
async function entryStream(file, headerOffset, packedLength, method) {
  const header = await bytesAt(file, headerOffset, 30);
  if (header.readUInt32LE(0) !== 0x04034b50) throw new Error('a local header is damaged');
  if (method !== 0 && method !== 8) throw new Error(`compression method ${method} is not known`);
  // The local header's name and extra field may differ in length from the directory's.
  const start = headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const packed = file.createReadStream({ start, end: start + packedLength - 1, autoClose: false });
  const output =
    method === 8 ? createInflateRaw() : new Transform({ transform: (chunk, _, done) => done(null, chunk) });
  packed.on('error', error => output.destroy(error));
  return packed.pipe(output);
}
