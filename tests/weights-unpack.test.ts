import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unpack } from '../weights/sources.mjs';

/** A zip archive of deflated files, as PKWARE's APPNOTE.TXT lays it out. */
function zip(files: Record<string, Buffer>): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const packed = deflateRawSync(bytes);
    // The fields that both headers have, from the version on.
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    const local = [Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed];
    locals.push(...local);
    directory.push(Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), fields, place, Buffer.from(name));
    offset += Buffer.concat(local).length;
  }
  const count = Object.keys(files).length;
  const end = Buffer.alloc(18);
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, ...directory, Buffer.from('PK\x05\x06'), end]);
}

let folder = '';
let archive = '';
const model = Buffer.from(Array.from({ length: 300_001 }, (_, i) => (i * i) % 251));
const config = Buffer.from('{"a": 1}');
const listed = (path: string, bytes: Buffer) => ({
  path,
  byteLength: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'webgpu-bert-unpack-'));
  archive = join(folder, 'package.whl');
  await writeFile(archive, zip({ 'pkg/model.bin': model, 'pkg/other.txt': config, 'pkg/nested/config.json': config }));
});
afterAll(() => rm(folder, { recursive: true }));

test('the listed files come out as they went in, and no others', async () => {
  const to = join(folder, 'out');
  await unpack(archive, 'pkg', [listed('nested/config.json', config), listed('model.bin', model)], to);
  expect(await readdir(to, { recursive: true })).toEqual(
    expect.arrayContaining(['model.bin', 'nested', join('nested', 'config.json')]),
  );
  expect((await readdir(to)).sort()).toEqual(['model.bin', 'nested']);
  expect(model.equals(await readFile(join(to, 'model.bin')))).toBe(true);
  expect(config.equals(await readFile(join(to, 'nested', 'config.json')))).toBe(true);
});

test('a file that is not in the archive is an error that names it', async () => {
  const files = [listed('model.bin', model), listed('missing.bin', model)];
  await expect(unpack(archive, 'pkg', files, join(folder, 'missing'))).rejects.toThrow('pkg/missing.bin');
});

test('a file of another SHA-256 is an error, and does not stay', async () => {
  const to = join(folder, 'wrong');
  const files = [{ ...listed('model.bin', model), sha256: '0'.repeat(64) }];
  await expect(unpack(archive, 'pkg', files, to)).rejects.toThrow('model.bin has sha256');
  expect(await readdir(to)).toEqual([]);
});

test('what is no archive, and one that was cut, is an error', async () => {
  const whole = await readFile(archive);
  for (const bytes of [Buffer.from('<!doctype html>'), whole.subarray(0, whole.length - 30)]) {
    const path = join(folder, 'damaged.whl');
    await writeFile(path, bytes);
    await expect(unpack(path, 'pkg', [listed('model.bin', model)], join(folder, 'damaged'))).rejects.toThrow();
  }
});
