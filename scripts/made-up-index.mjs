/**
 * Runs in the page of the lab, whose sample has been embedded: keeps an index of made-up passages in its IndexedDB, with vectors of a
 * seed. A model would take minutes to embed so many on a software adapter; all that comes after does not know the difference.
 * @param {{ id: string, rows: number, seed: number }} options
 */
export async function keepMadeUpIndex({ id, rows, seed }) {
  /** Vectors of a block in the store. */
  const BLOCK = 256;
  const GROUPS = 40;
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  /** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
  const answerOf = request =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const db = await answerOf(indexedDB.open('webgpu-bert-lab-search'));
  const tx = db.transaction(['notes', 'texts', 'blocks'], 'readwrite');
  const done = new Promise((resolve, reject) => {
    tx.oncomplete = resolve;
    tx.onabort = () => reject(tx.error);
  });
  const note = await answerOf(tx.objectStore('notes').get('sample'));
  const { space, dims } = note.vectors;
  const lines = Array.from({ length: rows }, (_, i) => `Passage ${i}, as long as a sentence of a text that is read.`);
  const starts = new Uint32Array(rows);
  const ends = new Uint32Array(rows);
  let at = 0;
  for (const [i, line] of lines.entries()) {
    starts[i] = at;
    ends[i] = at + line.length;
    at += line.length + 1;
  }
  const sources = [{ name: 'Made up', text: lines.join('\n'), unit: 'lines' }];
  tx.objectStore('notes').put({ ...note, id, name: 'Made up', passages: rows, vectors: { ...note.vectors, rows } });
  tx.objectStore('texts').put({ id, sources, passages: { starts, ends, sources: new Uint32Array(rows) } });
  const centres = Float32Array.from({ length: GROUPS * dims }, () => random() - 0.5);
  for (let block = 0; block * BLOCK < rows; block += 1) {
    const data = new Float32Array(Math.min(BLOCK, rows - block * BLOCK) * dims);
    for (let row = 0; row < data.length; row += dims) {
      const centre = Math.floor(random() * GROUPS) * dims;
      let square = 0;
      for (let k = 0; k < dims; k += 1) {
        const value = /** @type {number} */ (centres[centre + k]) + 0.6 * (random() - 0.5);
        data[row + k] = value;
        square += value * value;
      }
      const length = Math.sqrt(square);
      for (let k = 0; k < dims; k += 1) data[row + k] = /** @type {number} */ (data[row + k]) / length;
    }
    tx.objectStore('blocks').put({ space, data }, [id, block]);
  }
  await done;
  db.close();
}
