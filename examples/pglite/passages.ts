import type { PGlite } from '@electric-sql/pglite';
import type { FeatureExtractionPipeline } from 'webgpu-bert';

type Extractor = Pick<FeatureExtractionPipeline, 'encode_query' | 'encode_document'>;

export interface Passage {
  id: number;
  text: string;
  /** Cosine of the angle between the passage and the query. */
  similarity: number;
}

/** Passages with their vectors in Postgres, which runs in the page (https://pglite.dev, with pgvector). */
export class Passages {
  private constructor(
    private readonly db: PGlite,
    private readonly extractor: Extractor,
  ) {}

  /** @param columns of the model's vectors: 384 for all-MiniLM-L6-v2 */
  static async open(db: PGlite, extractor: Extractor, columns: number): Promise<Passages> {
    await db.exec(`
      CREATE EXTENSION IF NOT EXISTS vector;
      CREATE TABLE IF NOT EXISTS passages (
        id serial PRIMARY KEY, text text NOT NULL, embedding vector(${Math.trunc(columns)}) NOT NULL
      );
    `);
    return new Passages(db, extractor);
  }

  async add(texts: readonly string[]): Promise<void> {
    const rows = (await this.extractor.encode_document(texts)).tolist() as number[][];
    // pgvector reads a vector as it reads a list of JSON.
    await this.db.query(
      'INSERT INTO passages (text, embedding) SELECT * FROM unnest($1::text[], $2::text[]::vector[])',
      [texts, rows.map(row => JSON.stringify(row))],
    );
  }

  async search(query: string, limit = 5): Promise<Passage[]> {
    const [row] = (await this.extractor.encode_query(query)).tolist() as [number[]];
    // <=> is the cosine distance.
    const { rows } = await this.db.query<Passage>(
      'SELECT id, text, 1 - (embedding <=> $1) AS similarity FROM passages ORDER BY embedding <=> $1 LIMIT $2',
      [JSON.stringify(row), limit],
    );
    return rows;
  }
}
