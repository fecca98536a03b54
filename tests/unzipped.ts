import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import yauzl from 'yauzl';

/** The files of a ZIP by their names, read by yauzl. Rejects for one whose sizes or checksums are wrong. */
export function unzipped(bytes: Buffer): Promise<Record<string, Buffer>> {
  const read: Record<string, Buffer> = {};
  return new Promise((resolve, reject) => {
    yauzl.fromBuffer(bytes, { lazyEntries: true, validateEntrySizes: true }, (failure, zip) => {
      if (failure) return reject(failure);
      zip.on('error', reject).on('end', () => resolve(read));
      zip.on('entry', (entry: yauzl.Entry) => {
        zip.openReadStream(entry, async (error, stream) => {
          if (error) return reject(error);
          const content = await buffer(stream);
          if (crc32(content) !== entry.crc32) return reject(new Error(`the checksum of ${entry.fileName} is wrong`));
          read[entry.fileName] = content;
          zip.readEntry();
        });
      });
      zip.readEntry();
    });
  });
}
