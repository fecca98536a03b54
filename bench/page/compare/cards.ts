import type { Answer, Call, Session } from './session.ts';

/**
 * What model cards on the hub show for transformers.js, on small models: the calls as the cards have them, with other texts where the
 * vocabulary is small. Each compiles against our types, and runs through both libraries. EmbeddingGemma's card is left out: it reads an
 * output, `sentence_embedding`, that only its ONNX file has; `pipeline('feature-extraction')` with pooling 'model' gives the same here.
 */

const EMBEDDER = 'heads/bert-base';
const RERANKER = 'heads/bert-rerank';

const SENTENCES = ['the author must provided a copy', 'you may use the code', 'any user can modify this work'];
const QUERY = 'who may use the code';
const DOCUMENTS = [
  'you may use the code',
  'any user can modify this work without permission',
  'the author must provided a copy of this software',
];

type Library = Session['library'];

/** The answer of a card, in plain lists: of tensors the numbers, and how they lie. */
const card = (name: string, run: (library: Library) => Promise<unknown>, byDesign?: string): Call => ({
  name,
  ...(byDesign && { byDesign }),
  run: async ({ library, options }: Session): Promise<Answer> => ({ value: await run(withOptions(library, options)) }),
});

/** The library with the device that its side has to have: cards name none, or one that only some people have. */
function withOptions(library: Library, options: object): Library {
  const loads = (each: object) => ({
    from_pretrained: (model: string) =>
      (each as { from_pretrained(model: string, options: object): Promise<unknown> }).from_pretrained(model, options),
  });
  const pipeline = library.pipeline as (task: string, model: string, options: object) => Promise<unknown>;
  return {
    ...library,
    pipeline: ((task: string, model: string) => pipeline(task, model, options)) as Library['pipeline'],
    AutoModel: loads(library.AutoModel) as unknown as Library['AutoModel'],
    AutoModelForSequenceClassification: loads(
      library.AutoModelForSequenceClassification,
    ) as unknown as Library['AutoModelForSequenceClassification'],
  };
}

export const cards: Call[] = [
  card('all-MiniLM-L6-v2: sentence embeddings', async ({ pipeline }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const output = await extractor(SENTENCES, { pooling: 'mean', normalize: true });
    return { dims: output.dims, type: output.type, list: output.tolist() };
  }),
  card('bge-small-en-v1.5, mxbai-embed-large-v1: cos_sim of a query with documents', async ({ pipeline, cos_sim }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const output = await extractor([QUERY, ...DOCUMENTS], { pooling: 'cls' });
    const [source_embeddings, ...document_embeddings] = output.tolist() as number[][];
    return document_embeddings.map(x => cos_sim(source_embeddings!, x));
  }),
  card('snowflake-arctic-embed-m: dot of a query with documents', async ({ pipeline, dot }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const sentences = [`Represent this sentence for searching relevant passages: ${QUERY}`, ...DOCUMENTS];
    const output = await extractor(sentences, { normalize: true, pooling: 'cls' });
    const [source_embeddings, ...document_embeddings] = output.tolist() as number[][];
    return document_embeddings.map(x => dot(source_embeddings!, x));
  }),
  card('jina-embeddings-v2-base-en: cos_sim of rows of the output', async ({ pipeline, cos_sim }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const output = await extractor(SENTENCES, { pooling: 'mean' });
    return cos_sim(
      (output[0] as typeof output).data as unknown as number[],
      (output[1] as typeof output).data as unknown as number[],
    );
  }),
  card(
    'nomic-embed-text-v1.5: layer_norm, slice and normalize to a Matryoshka width',
    async ({ pipeline, layer_norm }) => {
      const extractor = await pipeline('feature-extraction', EMBEDDER);
      const matryoshka_dim = 16;
      let embeddings = (await extractor(SENTENCES, { pooling: 'mean' })) as Awaited<ReturnType<typeof layer_norm>>;
      embeddings = layer_norm(embeddings, [embeddings.dims[1]!]).slice(null, [0, matryoshka_dim]).normalize(2, -1);
      return { dims: embeddings.dims, list: embeddings.tolist() };
    },
  ),
  card('modernbert-embed-base: matmul of slices, times 100', async ({ pipeline, matmul }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const embeddings = await extractor([QUERY, ...DOCUMENTS], { pooling: 'mean', normalize: true });
    const query = embeddings.slice([0, 1]);
    const documents = embeddings.slice([1, null]);
    const similarities = await matmul(query, documents.transpose(1, 0));
    return { dims: similarities.dims, list: similarities.mul(100).tolist() };
  }),
  card('mxbai-embed-large-v1: binary embeddings', async ({ pipeline }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const output = await extractor(SENTENCES, { pooling: 'cls', quantize: true, precision: 'binary' });
    return { dims: output.dims, type: output.type, list: output.tolist() };
  }),
  card('mxbai-embed-large-v1: ubinary embeddings', async ({ pipeline }) => {
    const extractor = await pipeline('feature-extraction', EMBEDDER);
    const output = await extractor(SENTENCES, { pooling: 'cls', quantize: true, precision: 'ubinary' });
    return { dims: output.dims, type: output.type, list: output.tolist() };
  }),
  card('gte-multilingual-base: AutoModel, the first token, normalize', async ({ AutoModel, AutoTokenizer }) => {
    const tokenizer = await AutoTokenizer.from_pretrained(EMBEDDER);
    const model = await AutoModel.from_pretrained(EMBEDDER);
    const inputs = await tokenizer(SENTENCES, { padding: true, truncation: true });
    const { last_hidden_state } = await model(inputs);
    const embeddings = last_hidden_state.slice(null, 0).normalize(2, -1);
    return { dims: embeddings.dims, list: embeddings.tolist() };
  }),
  card('paraphrase-MiniLM-L6-v2: AutoModel and mean_pooling', async ({ AutoModel, AutoTokenizer, mean_pooling }) => {
    const tokenizer = await AutoTokenizer.from_pretrained(EMBEDDER);
    const model = await AutoModel.from_pretrained(EMBEDDER);
    const inputs = await tokenizer(SENTENCES, { padding: true, truncation: true });
    const { last_hidden_state } = await model(inputs);
    return mean_pooling(last_hidden_state, inputs.attention_mask).normalize(2, -1).tolist();
  }),
  card('ms-marco-MiniLM-L6-v2: logits of pairs', async ({ AutoModelForSequenceClassification, AutoTokenizer }) => {
    const model = await AutoModelForSequenceClassification.from_pretrained(RERANKER);
    const tokenizer = await AutoTokenizer.from_pretrained(RERANKER);
    const features = tokenizer([QUERY, QUERY], {
      text_pair: DOCUMENTS.slice(0, 2),
      padding: true,
      truncation: true,
    });
    const { logits } = await model(features);
    return { dims: logits.dims, list: logits.tolist() };
  }),
  card('mxbai-rerank-xsmall-v1: rank with sigmoid', async ({ AutoModelForSequenceClassification, AutoTokenizer }) => {
    const model = await AutoModelForSequenceClassification.from_pretrained(RERANKER);
    const tokenizer = await AutoTokenizer.from_pretrained(RERANKER);
    async function rank(
      query: string,
      documents: string[],
      { top_k, return_documents = false }: { top_k?: number; return_documents?: boolean } = {},
    ) {
      const inputs = tokenizer(new Array(documents.length).fill(query), {
        text_pair: documents,
        padding: true,
        truncation: true,
      });
      const { logits } = await model(inputs);
      return (logits.sigmoid().tolist() as number[][])
        .map(([score], i) => ({ corpus_id: i, score: score!, ...(return_documents ? { text: documents[i] } : {}) }))
        .sort((a, b) => b.score - a.score)
        .slice(0, top_k);
    }
    return [await rank(QUERY, DOCUMENTS, { return_documents: true, top_k: 3 }), await rank(QUERY, DOCUMENTS)];
  }),
  card(
    'jina-reranker-v1-tiny-en: sigmoid of logits, flattened',
    async ({ AutoModelForSequenceClassification, AutoTokenizer }) => {
      const model = await AutoModelForSequenceClassification.from_pretrained(RERANKER);
      const tokenizer = await AutoTokenizer.from_pretrained(RERANKER);
      const inputs = tokenizer(new Array(DOCUMENTS.length).fill(QUERY), {
        text_pair: DOCUMENTS,
        padding: true,
        truncation: true,
      });
      const scores = (await model(inputs)).logits.sigmoid().flatten();
      return { dims: scores.dims, list: scores.tolist() };
    },
  ),
  card('distilbert-base-uncased-finetuned-sst-2-english: sentiment-analysis', async ({ pipeline }) => {
    const classifier = await pipeline('sentiment-analysis', 'heads/bert-sequence');
    return [await classifier('you may use the code'), await classifier(SENTENCES)];
  }),
  card('toxic-bert: text-classification with top_k null', async ({ pipeline }) => {
    const classifier = await pipeline('text-classification', 'heads/bert-sequence');
    return classifier('you may use the code', { top_k: null });
  }),
  card('bert-base-NER: token-classification', async ({ pipeline }) => {
    const classifier = await pipeline('token-classification', 'heads/bert-token');
    const output = await classifier('the author must provided a copy');
    return (output as { entity: string; score: number; index: number; word: string }[]).map(
      ({ entity, score, index, word }) => ({ entity, score, index, word }),
    );
  }),
  card('ModernBERT-base, bert-base-uncased: fill-mask', async ({ pipeline }) => {
    const unmasker = await pipeline('fill-mask', 'heads/bert-masked-lm');
    return unmasker('you may use the [MASK].');
  }),
  card('deberta-v3-base-tasksource-nli, bart-large-mnli: zero-shot-classification', async ({ pipeline }) => {
    const classifier = await pipeline('zero-shot-classification', 'heads/bert-nli');
    const labels = ['software', 'law', 'work'];
    return [
      await classifier('you may use the code', labels),
      await classifier('you may use the code', labels, { multi_label: true }),
    ];
  }),
  card('distilbert-base-cased-distilled-squad: question-answering', async ({ pipeline }) => {
    const answerer = await pipeline('question-answering', 'heads/bert-qa');
    const { answer, score } = (await answerer(QUERY, DOCUMENTS[1]!)) as { answer: string; score: number };
    return { answer, score };
  }),
];
