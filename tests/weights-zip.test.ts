import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openZip } from '../weights/zip.mjs';

interface Part {
  name: string;
  bytes: Buffer;
  method?: number;
  /** An extra field in the local header alone, as some writers leave it. */
  localExtra?: Buffer;
}

/** A zip archive as APPNOTE.TXT lays it out; the checksums, which the reader leaves to the SHA-256 after it, are 0. */
function zip(parts: readonly Part[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, method = 8, localExtra = Buffer.alloc(0) } of parts) {
    const packed = method === 8 ? deflateRawSync(bytes) : bytes;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    local.writeUInt16LE(localExtra.length, 28);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(bytes.length, 24);
    entry.writeUInt16LE(Buffer.byteLength(name), 28);
    entry.writeUInt32LE(offset, 42);
    const whole = Buffer.concat([local, Buffer.from(name), localExtra, packed]);
    locals.push(whole);
    directory.push(entry, Buffer.from(name));
    offset += whole.length;
  }
  const end = Buffer.alloc(22);
  const central = Buffer.concat(directory);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  return Buffer.concat([...locals, central, end, Buffer.from(comment)]);
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'webgpu-bert-zip-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(bytes: Buffer): Promise<string> {
  const path = join(folder, `${Math.random()}.zip`);
  await writeFile(path, bytes);
  return path;
}

async function contents(bytes: Buffer): Promise<Record<string, Buffer>> {
  const { entries, close } = await openZip(await file(bytes));
  const read: Record<string, Buffer> = {};
  try {
    for (const [name, entry] of entries) {
      const pieces: Buffer[] = [];
      for await (const piece of await entry.open()) pieces.push(Buffer.from(piece));
      read[name] = Buffer.concat(pieces);
      expect(entry.byteLength).toBe(read[name].length);
    }
  } finally {
    await close();
  }
  return read;
}

const long = Buffer.from(Array.from({ length: 300_001 }, (_, i) => (i * i) % 251));
const short = Buffer.from('{"a": 1}');

test('stored and deflated entries come out as they went in, whatever lies between them', async () => {
  const parts: Part[] = [
    { name: 'pkg/model.bin', bytes: long },
    { name: 'pkg/naïve.json', bytes: short, method: 0, localExtra: Buffer.from([1, 2, 3, 4, 5]) },
    { name: 'pkg/stored.bin', bytes: long, method: 0 },
  ];
  const expected = { 'pkg/model.bin': long, 'pkg/naïve.json': short, 'pkg/stored.bin': long };
  for (const comment of ['', 'a comment after the end record']) {
    const read = await contents(zip(parts, comment));
    expect(Object.keys(read)).toEqual(Object.keys(expected));
    for (const [name, bytes] of Object.entries(expected)) expect(bytes.equals(read[name]!), name).toBe(true);
  }
});

test('an empty archive has no entries', async () => {
  expect(await contents(zip([]))).toEqual({});
});

test('what is no archive is refused by its path', async () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('<!doctype html>'),
    zip([{ name: 'a', bytes: long }]).subarray(0, 900),
  ]) {
    const path = await file(bytes);
    await expect(openZip(path)).rejects.toThrow(`${path} is no zip archive that can be read`);
  }
});

test('a damaged directory, a damaged header and an unknown method are errors', async () => {
  const good = zip([{ name: 'a', bytes: short }]);
  const damaged = Buffer.from(good);
  damaged.writeUInt8(0, good.indexOf(Buffer.from([0x50, 0x4b, 1, 2])));
  await expect(contents(damaged)).rejects.toThrow('its directory is damaged');
  const header = Buffer.from(good);
  header.writeUInt8(0, 0);
  await expect(contents(header)).rejects.toThrow('a local header is damaged');
  await expect(contents(zip([{ name: 'a', bytes: short, method: 12 }]))).rejects.toThrow('compression method 12');
});

test('deflated data that is damaged is an error, not a shorter file', async () => {
  const good = zip([{ name: 'a', bytes: long }]);
  const damaged = Buffer.from(good);
  damaged.fill(0xff, 40, 80);
  await expect(contents(damaged)).rejects.toThrow();
});
