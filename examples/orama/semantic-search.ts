import type { AnyDocument, OramaPluginSync } from '@orama/orama';
import type { FeatureExtractionPipeline } from 'webgpu-bert';

/** What the plugin needs of a pipeline: one of webgpu-bert, or of webgpu-bert/worker. */
type Extractor = Pick<FeatureExtractionPipeline, 'encode_query' | 'encode_document'>;

/**
 * A plugin for Orama (https://orama.com): documents get vectors when they are inserted, and a search with `mode: 'vector'` or 'hybrid'
 * gets that of its `term`.
 *
 *   const db = create({
 *     schema: { title: 'string', embedding: 'vector[384]' },
 *     plugins: [semanticSearch(extractor, { text: 'title', vector: 'embedding' })],
 *   });
 * @param text the property that is embedded
 * @param vector the property of the schema that has the vector
 */
export function semanticSearch(
  extractor: Extractor,
  { text, vector }: { text: string; vector: string },
): OramaPluginSync {
  /** Embeds those that have no vector yet, all in one call. */
  const embed = async (documents: AnyDocument[]) => {
    const missing = documents.filter(document => document[vector] === undefined);
    if (missing.length === 0) return;
    const rows = (await extractor.encode_document(missing.map(document => String(document[text])))).tolist();
    for (const [i, document] of missing.entries()) document[vector] = rows[i];
  };
  return {
    name: 'webgpu-bert',
    // Orama waits for functions that are marked `async`.
    beforeInsertMultiple: async (_, documents) => embed(documents),
    beforeInsert: async (_, _id, document) => embed([document]),
    beforeSearch: async (_, params) => {
      if (params.mode !== 'vector' && params.mode !== 'hybrid') return;
      if (params.vector !== undefined || !params.term) return;
      const [value] = (await extractor.encode_query(params.term)).tolist() as [number[]];
      params.vector = { property: vector, value };
    },
  };
}
