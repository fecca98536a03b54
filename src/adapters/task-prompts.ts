/** What an embedding is for, by the names of the SemanticEmbedder proposal. */
export const TASK_TYPES = [
  'semantic-similarity',
  'retrieval-query',
  'retrieval-document',
  'classification',
  'clustering',
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/**
 * Under which names checkpoints of the hub keep the prompt of a task, the usual one first: those of sentence-transformers (query,
 * document), of Nomic (search_query), Jina (retrieval.query, separation), EmbeddingGemma (Retrieval-query, STS) and E5 (passage).
 */
const PROMPT_NAMES: Readonly<Record<TaskType, readonly string[]>> = {
  'semantic-similarity': ['semantic-similarity', 'sts', 'text-matching', 'similarity'],
  'retrieval-query': ['query', 'search_query', 'retrieval.query', 'retrieval-query'],
  'retrieval-document': ['document', 'passage', 'corpus', 'search_document', 'retrieval.passage', 'retrieval-document'],
  classification: ['classification'],
  clustering: ['clustering', 'cluster', 'separation'],
};

/**
 * The prompt of a checkpoint for a task, '' where it has none: then the model was trained without one, or for one task only.
 * @param prompts by name, as in config_sentence_transformers.json
 */
export function promptForTask(prompts: Readonly<Record<string, string>>, taskType: TaskType): string {
  const named = new Map(Object.entries(prompts).map(([name, prompt]) => [name.toLowerCase(), prompt]));
  for (const name of PROMPT_NAMES[taskType]) {
    const prompt = named.get(name);
    // sentence-transformers adds empty prompts "query" and "document" to a checkpoint that has them under other names.
    if (prompt !== undefined && prompt !== '') return prompt;
  }
  return '';
}
