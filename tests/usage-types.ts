import {
  type Answer,
  AutoConfig,
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  type Classification,
  type DataType,
  type DeviceType,
  type Entity,
  env,
  type FeatureExtractionPipeline,
  type FilledMask,
  type FillMaskOutput,
  isSupported,
  LogLevel,
  type MemoryFootprint,
  ModelRegistry,
  MultiVectorEncoder,
  type PipelineType,
  type PretrainedConfig,
  type PretrainedModelOptions,
  pipeline,
  type RankedDocument,
  type randn,
  SparseEncoder,
  type SparseVector,
  Tensor,
  type ZeroShotResult,
} from 'webgpu-bert';
import { createWebGPUBert, webgpuBert } from 'webgpu-bert/ai-sdk';
import { WebGPUBertEmbeddings, WebGPUBertRerank } from 'webgpu-bert/langchain';
import { SemanticEmbedder } from 'webgpu-bert/semantic-embedder';
import * as inWorker from 'webgpu-bert/worker';

// Nothing here runs: the compiler says whether a program written like this gets the types that it should.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Cut<T> = T & { readonly truncated: boolean; readonly tokens: number };
type Cuts<T> = T & { readonly truncated: readonly boolean[]; readonly tokens: readonly number[] };
const is = <_ extends true>(): void => undefined;

export async function support(id: string): Promise<string | undefined> {
  const { ok, adapter, software, reason, next } = await isSupported();
  if (!ok) return `${reason} ${next}`;
  const { model } = await pipeline('feature-extraction', id);
  const heard = ({ detail }: CustomEvent<{ adapter: string }>) => detail.adapter.length;
  model.addEventListener('restored', heard);
  model.addEventListener('devicelost', ({ detail }) => detail.reason.length + detail.message.length, { once: true });
  model.removeEventListener('restored', heard);
  return software ? undefined : adapter;
}

export async function pipelines(id: string): Promise<void> {
  const extractor = await pipeline('feature-extraction', id, { device: 'webgpu', dtype: 'fp32' });
  const embeddings = await extractor(['a', 'b'], { pooling: 'mean', normalize: true, truncate_dim: 64 });
  is<Same<typeof embeddings, Cuts<Tensor<'float32' | 'int8' | 'uint8'>> & { readonly space: string }>>();
  embeddings satisfies Tensor;
  await extractor('a', null);
  const { signal } = new AbortController();
  await extractor(['a'], { signal, progress_callback: info => info.status === 'run' && info.loaded / info.total });

  const classifier = await pipeline('text-classification', id);
  const classified = await classifier('a', { top_k: null, overflow: 'window' });
  is<Same<typeof classified, Cuts<Classification[]>>>();
  await classifier({ text: 'a', text_pair: 'b' });
  const sentiment = await pipeline('sentiment-analysis');
  is<Same<typeof sentiment, typeof classifier>>();

  const ner = await pipeline('ner', id);
  const entities = await ner('a', { aggregation_strategy: 'simple', ignore_labels: [] });
  is<Same<typeof entities, Cut<Entity[]>>>();

  const unmasker = await pipeline('fill-mask', id);
  const filled = await unmasker('the [MASK]', { top_k: 3, targets: ['a'] });
  is<Same<typeof filled, Cut<FilledMask[]>>>();

  const answerer = await pipeline('question-answering', id);
  const answer = await answerer('a?', 'b', { top_k: 1, doc_stride: 3 });
  is<Same<typeof answer, Cut<Answer>>>();

  const judge = await pipeline('zero-shot-classification', id);
  const judged = await judge('a', ['b', 'c'], { multi_label: true });
  is<Same<typeof judged, Cut<ZeroShotResult>>>();

  const ranker = await pipeline('text-ranking', id);
  const ranked = await ranker('a', ['b'], { return_documents: true, top_k: 1 });
  is<Same<typeof ranked, Cuts<RankedDocument[]>>>();

  const next = await (await pipeline('next-sentence-prediction'))('a', 'b');
  is<Same<typeof next.label, 'IsNext' | 'NotNext'>>();
  is<Same<typeof next.truncated, boolean>>();
  is<Same<typeof next.tokens, number>>();
  const [choice] = await (await pipeline('multiple-choice', id))('a', ['b', 'c']);
  is<Same<NonNullable<typeof choice>['index'], number>>();
  const scores = await (await pipeline('sentence-similarity'))({ source_sentence: 'a', sentences: ['b'] });
  is<Same<typeof scores, Cuts<number[]>>>();

  // @ts-expect-error: there is no such task
  await pipeline('text-generation', id);
  // @ts-expect-error: there is no such pooling
  await extractor('a', { pooling: 'median' });
  // @ts-expect-error: a context is missing
  await answerer('a?');
  await extractor.dispose();
}

/** The shape of an answer follows from the arguments: nothing has to be narrowed or cast. */
export async function shapes(id: string, some: string | readonly string[], k: number): Promise<void> {
  const extractor = await pipeline('feature-extraction', id);
  const out = await extractor('x');
  is<Same<typeof out.truncated, readonly boolean[]>>();
  is<Same<typeof out.tokens, readonly number[]>>();
  out.space satisfies string;
  extractor.space satisfies string;
  extractor.prompts.query satisfies string | undefined;
  (await extractor.encode_query('x')).tokens satisfies readonly number[];
  (await extractor.encode_document(['x'], { truncate_dim: 8 })).dims satisfies readonly number[];

  const qa = await pipeline('question-answering', id);
  const [q, c] = ['a?', 'b'] as const;
  (await qa(q, c)).answer satisfies string;
  (await qa(q, c, null)).truncated satisfies boolean;
  (await qa(q, c, { top_k: 3 })).map(({ answer }) => answer) satisfies string[];
  const maybe = await qa(q, c, { top_k: k });
  is<Same<typeof maybe, Cut<Answer> | Cut<Answer[]>>>();

  const classify = await pipeline('text-classification', id);
  (await classify('x'))[0]!.label satisfies string;
  (await classify('x', { top_k: null }))[0]!.label satisfies string;
  (await classify(['x', 'y']))[0]!.label satisfies string;
  (await classify(['x', 'y'], { top_k: 1 }))[0]!.label satisfies string;
  (await classify(['x', 'y'], { top_k: null }))[0]![0]!.label satisfies string;
  (await classify([{ text: 'x', text_pair: 'y' }], { top_k: 2 }))[0]![0]!.label satisfies string;
  const labels = await classify(['x'], { top_k: k });
  is<Same<typeof labels, Cuts<Classification[]> | Cuts<Classification[][]>>>();
  const either = await classify(some);
  is<Same<typeof either, typeof labels>>();

  const ner = await pipeline('ner', id);
  (await ner('x'))[0]!.start satisfies number;
  (await ner('x')).truncated satisfies boolean;
  (await ner(['x', 'y']))[0]![0]!.start satisfies number;
  (await ner(['x', 'y']))[0]!.truncated satisfies boolean;
  (await ner(['x', 'y'], { is_split_into_words: true, delimiter: '' }))[0]![0]!.start satisfies number;
  (await ner([['x'], ['y']], { is_split_into_words: true }))[0]!.truncated satisfies boolean;
  const groups = await ner(some);
  is<Same<typeof groups, Cut<Entity[]> | Cut<Entity[]>[]>>();

  const fill = await pipeline('fill-mask', id);
  (await fill('x'))[0]!.token_str satisfies string;
  (await fill(['x', 'y']))[0]![0]!.token_str satisfies string;
  (await fill<FilledMask[][]>('x'))[0]![0]!.token_str satisfies string;
  const masks: FilledMask[][] = await fill('x');
  masks[0]![0]!.sequence satisfies string;

  const zs = await pipeline('zero-shot-classification', id);
  (await zs('x', ['a'])).labels satisfies string[];
  (await zs(['x'], 'a, b'))[0]!.labels satisfies string[];

  const choose = await pipeline('multiple-choice', id);
  (await choose('x', ['a'], null)).truncated satisfies readonly boolean[];

  // @ts-expect-error: one answer is no list
  (await qa(q, c)).map(String);
  // @ts-expect-error: top_k of 3 is a list
  (await qa(q, c, { top_k: 3 })).answer;
  // @ts-expect-error: a list for each text
  (await classify(['x'], { top_k: null }))[0]!.label;
  // @ts-expect-error: there is no such option
  await classify(['x'], { topk: 3 });
}

export async function models(id: string): Promise<void> {
  const [tokenizer, model] = await Promise.all([
    AutoTokenizer.from_pretrained(id),
    AutoModelForMaskedLM.from_pretrained(id),
  ]);
  const { logits, attentions, hidden_states } = await model(tokenizer('a', { padding: true }), {
    output_attentions: [0],
    output_hidden_states: true,
  });
  is<Same<typeof logits, Tensor<'float32'>>>();
  logits satisfies Tensor;
  tokenizer('a', { padding: true, pad_to_multiple_of: 8, split_special_tokens: true }).word_ids(0) satisfies (
    | number
    | null
  )[];
  tokenizer([['a', 'b']], { is_split_into_words: true, return_tensor: false }).input_ids[0]![0] satisfies
    | number
    | undefined;
  tokenizer(['a', 'b'], { is_split_into_words: true, return_tensor: false }).input_ids[0] satisfies number | undefined;
  // @ts-expect-error: there is no such option
  tokenizer('a', { max_lenght: 8 });
  // @ts-expect-error: words are a list
  tokenizer([['a']]);
  is<Same<typeof attentions, Tensor<'float32'>[] | undefined>>();
  is<Same<typeof hidden_states, Tensor<'float32'>[] | undefined>>();
  const reader = await AutoModelForQuestionAnswering.from_pretrained(id);
  const spans = await reader({ input_ids: [[1, 2, 3]] });
  is<Same<typeof spans.start_logits, Tensor<'float32'>>>();
  // @ts-expect-error: this model has no logits
  spans.logits;
  await model.dispose();
}

export async function registry(id: string): Promise<void> {
  const { files, allCached } = await ModelRegistry.is_pipeline_cached_files('feature-extraction', id, {
    revision: 'v1',
  });
  is<Same<typeof files, { file: string; cached: boolean }[]>>();
  is<Same<typeof allCached, boolean>>();
  const { filesDeleted } = await ModelRegistry.clear_cache(id);
  is<Same<typeof filesDeleted, number>>();
  const footprint = await ModelRegistry.get_pipeline_memory_footprint('ner', id);
  is<Same<typeof footprint, MemoryFootprint>>();
  const { exists, size, contentType, fromCache } = await ModelRegistry.get_file_metadata(id, 'config.json');
  is<Same<[typeof exists, typeof size], [boolean, number | undefined]>>();
  is<Same<[typeof contentType, typeof fromCache], [string | undefined, boolean | undefined]>>();
}

/** The examples of transformers.js's documentation (its src/pipelines and src/models), and how they are used in TypeScript. */
export async function transformersPipelines(): Promise<void> {
  env.allowLocalModels = false;
  env.useBrowserCache = false;

  const extractor = await pipeline('feature-extraction', 'onnx-community/all-MiniLM-L6-v2-ONNX', {
    dtype: 'fp32',
    device: 'webgpu',
    progress_callback: info => {
      if (info.status === 'progress') console.log(info.file, info.progress);
    },
  });
  const output = await extractor('This is a simple test.', { pooling: 'mean', normalize: true });
  console.log(output.dims, output.type, output.size, output.tolist());
  const rows: number[][] = output.tolist();
  const embedding = Array.from(output.data as Float32Array);
  is<Same<typeof embedding, number[]>>();
  const numbers: number[] = Array.from(output.data);
  const tokens: number[][][] = (await extractor(['a', 'b'])).tolist();
  const [first, second]: number[][] = (await extractor(['a', 'b'], { pooling: 'cls' })).tolist();
  const binary = await extractor('This is a simple test.', { pooling: 'mean', quantize: true, precision: 'binary' });
  const bits: number[][] = binary.tolist();
  for (const [i, row] of output.tolist().entries()) console.log(i, row.slice(0, 3), row.length);
  const dot = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  (dot(first!, second!) + rows[0]![0]! + tokens[0]![0]![0]! + numbers[0]! + bits[0]![0]!) satisfies number;

  const sentiment = await pipeline('sentiment-analysis', 'Xenova/distilbert-base-uncased-finetuned-sst-2-english');
  const [judged] = await sentiment('I love transformers!');
  judged!.label satisfies string;
  (await sentiment('Le meilleur film de tous les temps.', { top_k: 5 })).map(({ score }) => score) satisfies number[];
  const toxic = await pipeline('text-classification', 'Xenova/toxic-bert');
  for (const { label, score } of await toxic('I hate you!', { top_k: null })) console.log(label, score.toFixed(3));

  const tagger = await pipeline('token-classification', 'Xenova/bert-base-NER');
  const entities = await tagger('Sarah lives in the United States of America', { ignore_labels: [] });
  entities.filter(({ entity }) => entity !== 'O').map(({ word, score, index }) => ({ word, score, index }));
  (await tagger('My name is Sarah', { aggregation_strategy: 'simple' }))[0]!.entity_group satisfies string | undefined;

  const answerer = await pipeline('question-answering', 'Xenova/distilbert-base-uncased-distilled-squad');
  const { answer, score } = await answerer('Who was Jim Henson?', 'Jim Henson was a nice puppet.');
  `${answer} ${score.toFixed(2)}` satisfies string;

  const unmasker = await pipeline('fill-mask', 'Xenova/bert-base-cased');
  const [best] = await unmasker('The Milky Way is a [MASK] galaxy.', { top_k: 1 });
  [best!.token_str, best!.sequence] satisfies string[];
  (best!.token + best!.score) satisfies number;

  const zeroShot = await pipeline('zero-shot-classification', 'Xenova/mobilebert-uncased-mnli');
  const labels = ['mobile', 'billing', 'website', 'account access'];
  const judgement = await zeroShot('My phone has been overheating.', labels, { multi_label: true });
  judgement.labels.map((label, i) => [label, judgement.scores[i]] as const);
  await Promise.all([extractor, sentiment, tagger, answerer, unmasker, zeroShot].map(pipe => pipe.dispose()));
}

let instance: Promise<FeatureExtractionPipeline> | null = null;

/** As the applications in the documentation load a pipeline once. */
export function getInstance(): Promise<FeatureExtractionPipeline> {
  instance ??= pipeline('feature-extraction', 'Xenova/all-MiniLM-L6-v2');
  return instance;
}

export async function transformersModels(): Promise<void> {
  const tokenizer = await AutoTokenizer.from_pretrained('Xenova/bert-base-uncased');
  const model = await AutoModel.from_pretrained('Xenova/bert-base-uncased', { dtype: 'fp32' });
  const inputs = await tokenizer('I love transformers!');
  const { last_hidden_state } = await model(inputs);
  const [batch, length, width] = last_hidden_state.dims;
  const hidden: number[][][] = last_hidden_state.tolist();
  console.log(batch, length, width, hidden[0]![0]!.length, inputs.input_ids.dims);
  const ids: bigint[][] = inputs.input_ids.tolist();
  tokenizer.decode(ids[0]!, { skip_special_tokens: true }) satisfies string;
  tokenizer.encode('I love transformers!') satisfies number[];

  const reranker = await AutoModelForSequenceClassification.from_pretrained('cross-encoder/ms-marco-MiniLM-L6-v2');
  const features = tokenizer(['How many people live in Berlin?', 'How many people live in Berlin?'], {
    text_pair: ['Berlin has 3,520,031 inhabitants.', 'New York City is famous for its museums.'],
    padding: true,
    truncation: true,
  });
  const { logits } = await reranker(features);
  const scores = logits.tolist().map(([score], i) => ({ corpus_id: i, score: score! }));
  scores.sort((a, b) => b.score - a.score);

  const tensor = new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]);
  tensor.view(3, 2).transpose(1, 0).permute(1, 0).slice(null, [0, 1]).clone() satisfies Tensor;
  Number(tensor[0]![1]!.item()) satisfies number;
  const nested = tensor.tolist();
  (nested[0]![2]! * 2 + nested.length) satisfies number;
  nested.flat().map(value => value + 1) satisfies number[];
  const vector: number[] = tensor.slice(0).tolist();
  const named = tensor.tolist<number[][]>();
  is<Same<typeof named, number[][]>>();
  for (const row of tensor) (row as Tensor).tolist();
  console.log(Math.max(...vector), JSON.stringify(nested));
  // @ts-expect-error: a tensor holds no strings
  const words: string[] = tensor.tolist();
  // @ts-expect-error: nor can a list be a number
  const one: number = tensor.tolist();
  console.log(words, one);
}

export async function vectorClasses(): Promise<void> {
  const sparse = await SparseEncoder.from_pretrained('naver/splade-v3', { dtype: 'fp16' });
  const documents = await sparse.encode_document(['It rains.', 'The sun shines.'], { max_active_dims: 64 });
  const query = await sparse.encode_query('weather');
  documents.map(({ indices, values }) => [indices, values] satisfies [Uint32Array, Float32Array]);
  documents.truncated satisfies readonly boolean[];
  query.truncated satisfies boolean;
  query satisfies SparseVector;
  sparse.similarity(query, documents).tolist<number[][]>() satisfies number[][];
  for (const [token, weight] of sparse.decode(query, 5)) console.log(token.toUpperCase(), weight.toFixed(2));
  await sparse.dispose();

  const colbert = await MultiVectorEncoder.from_pretrained('colbert-ir/colbertv2.0', { revision: 'main' });
  const queries = await colbert.encode_query(['What rains?']);
  const texts = await colbert.encode_document(['It rains.', 'The sun shines.'], { prompt: '' });
  queries[0]!.dims satisfies readonly number[];
  (await colbert.similarity(queries, texts)).data satisfies Float32Array;
  const [best] = await colbert.rank('What rains?', ['It rains.'], { top_k: 1, return_documents: true });
  (best!.corpus_id + best!.score) satisfies number;
  // @ts-expect-error: texts are strings
  await colbert.encode_query([1]);
  await colbert.dispose();
}

export async function semanticEmbedder(signal: AbortSignal, extractor: FeatureExtractionPipeline): Promise<number> {
  if ((await SemanticEmbedder.availability({ model: 'a/b', revision: 'main' })) === 'unavailable') return 0;
  const monitor = (target: EventTarget) => target.addEventListener('downloadprogress', () => undefined);
  const embedder = await SemanticEmbedder.create({ model: 'a/b', dtype: 'q8', signal, monitor });
  const { embeddings, metadata } = await embedder.embed(['a'], { taskType: 'retrieval-query', signal });
  is<Same<(typeof embeddings)[number]['statistics'], { tokenCount: number; truncated: boolean }>>();
  // @ts-expect-error: no task of the proposal
  await embedder.embed('a', { taskType: 'search' });
  (await SemanticEmbedder.create({ model: extractor })).destroy();
  return metadata.maxInputTokens + extractor.max_seq_length;
}

export async function aiSdk(extractor: FeatureExtractionPipeline, abortSignal: AbortSignal): Promise<number[]> {
  const model = webgpuBert.embeddingModel('a/b', { dtype: 'fp16', defaults: { taskType: 'retrieval-document' } });
  const { embeddings, usage } = await model.doEmbed({ values: ['a'], abortSignal });
  const { ranking } = await webgpuBert.rerankingModel('a/b').doRerank({
    query: 'a',
    documents: { type: 'text', values: ['b'] },
  });
  const four = createWebGPUBert({ specificationVersion: 'v4' }).embeddingModel(extractor);
  is<Same<typeof four.specificationVersion, 'v4'>>();
  is<Same<typeof model.specificationVersion, 'v3'>>();
  await four.dispose();
  return [...embeddings[0]!, usage.tokens, ranking[0]!.relevanceScore];
}

export async function langchain(): Promise<number[]> {
  const model = await inWorker.pipeline('feature-extraction', 'a/b');
  const embeddings = new WebGPUBertEmbeddings({ model, queryOptions: { prompt_name: 'query' } });
  // A pipeline of a worker is one for every adapter.
  (await SemanticEmbedder.create({ model })).destroy();
  webgpuBert.rerankingModel(await inWorker.pipeline('text-ranking', 'a/b'));
  const reranker = new WebGPUBertRerank({ model: 'a/b', topN: 3, pretrainedOptions: { dtype: 'q8' } });
  const documents = [{ pageContent: 'a', metadata: { page: 1 }, id: 'b' }];
  const best = await reranker.compressDocuments(documents, 'a');
  is<Same<typeof best, { pageContent: string; metadata: { page: number }; id: string }[]>>();
  const ranking = await reranker.rerank(['a'], 'b');
  return [
    ...(await embeddings.embedQuery('a')),
    ...(await embeddings.embedDocuments(['a'])).flat(),
    ranking[0]!.relevanceScore,
  ];
}

/** The calls in a worker have the same types, but that what is given at once elsewhere is awaited. */
export async function worker(id: string): Promise<void> {
  inWorker.env.worker = new URL('https://example.test/worker.js');
  inWorker.env.worker = () => new Worker('/worker.js', { type: 'module' });
  inWorker.env.localModelPath = '/models/';

  const extractor = await inWorker.pipeline('feature-extraction', id, { dtype: 'q8', device: 'webgpu' });
  const embeddings = await extractor(['a', 'b'], { pooling: 'mean', normalize: true });
  is<Same<typeof embeddings, Cuts<Tensor<'float32' | 'int8' | 'uint8'>> & { readonly space: string }>>();
  (await extractor.encode_query('x')).tokens satisfies readonly number[];
  extractor.space satisfies string;
  extractor.prompts.query satisfies string | undefined;
  const kept: inWorker.FeatureExtractionPipeline = extractor;
  await kept.dispose();
  const { model, tokenizer } = extractor;
  model.addEventListener('restored', ({ detail }) => detail.adapter.length, { once: true });
  (await model.bytes()).weights satisfies number;
  model.adapter satisfies string;
  const inputs = await tokenizer(['a', 'b'], { padding: true });
  inputs.input_ids.dims satisfies readonly number[];
  inputs.word_ids(1) satisfies (number | null)[];
  (await tokenizer('a', { return_tensor: false })).input_ids satisfies number[];
  (await tokenizer(['a'], { return_tensor: false })).input_ids satisfies number[][];
  (await tokenizer.encode('a', { add_special_tokens: false })) satisfies number[];
  (await tokenizer.convert_tokens_to_ids(['a'])) satisfies (number | undefined)[];
  (await tokenizer.convert_tokens_to_ids('a')) satisfies number | undefined;
  tokenizer.padding_side = 'left';
  tokenizer.model_max_length satisfies number;

  const qa = await inWorker.pipeline('question-answering', id);
  (await qa('a?', 'b')).answer satisfies string;
  (await qa('a?', 'b', { top_k: 3 })).map(({ answer }) => answer) satisfies string[];
  const fill = await inWorker.pipeline('fill-mask', id);
  (await fill<FilledMask[][]>('x'))[0]![0]!.token_str satisfies string;
  const sentiment = await inWorker.pipeline('sentiment-analysis');
  (await sentiment(['x', 'y'], { top_k: null }))[0]![0]!.label satisfies string;

  const masked = await inWorker.AutoModelForMaskedLM.from_pretrained(id);
  const outputs = await masked(inputs, { output_attentions: [0] });
  is<Same<typeof outputs.logits, Tensor<'float32'>>>();
  const other = await inWorker.AutoTokenizer.from_pretrained(id, { revision: 'main' });
  (await other.decode(inputs.input_ids)) satisfies string;

  const sparse: inWorker.SparseEncoder = await inWorker.SparseEncoder.from_pretrained('naver/splade-v3');
  const query = await sparse.encode_query('weather');
  query satisfies SparseVector;
  (await sparse.similarity(query, await sparse.encode_document(['a']))).data satisfies Float32Array;
  for (const [token, weight] of await sparse.decode(query, 5)) console.log(token.toUpperCase(), weight.toFixed(2));
  (await sparse.get_embedding_dimension()) satisfies number;
  const colbert = await inWorker.MultiVectorEncoder.from_pretrained(id);
  (await colbert.encode_query(['a']))[0]!.dims satisfies readonly number[];
  (await colbert.rank('a', ['b'], { top_k: 1 }))[0]!.score satisfies number;
  (await inWorker.isSupported()).ok satisfies boolean;

  try {
    await extractor('a');
  } catch (error) {
    if (error instanceof inWorker.WorkerError) error.next satisfies string | undefined;
    if (error instanceof inWorker.SourceError) error.status satisfies number | undefined;
  }
  // @ts-expect-error: the text is tokenised elsewhere, and awaited
  tokenizer.encode('a').length;
  // @ts-expect-error: what lies below a tokenizer stays there
  tokenizer.text;
  // @ts-expect-error: a device stays on the page
  await inWorker.pipeline('ner', id, { device: {} as GPUDevice });
  // @ts-expect-error: there is no such task
  await inWorker.pipeline('text-generation', id);
  // @ts-expect-error: a context is missing
  await qa('a?');
}

/** As a program that was written for transformers.js: its names of types, and the objects that tell of a model. */
export async function migrated(id: string): Promise<void> {
  const options: PretrainedModelOptions = { dtype: 'q8' satisfies DataType, device: 'webgpu' satisfies DeviceType };
  const task = 'fill-mask' satisfies PipelineType;
  const filled: FillMaskOutput = await (await pipeline(task, id, options))('the [MASK]');
  filled[0]!.token_str satisfies string;
  const config: PretrainedConfig = await AutoConfig.from_pretrained(id, { revision: 'main' });
  is<Same<typeof config.model_type, string | null>>();
  is<Same<typeof config.hidden_size, unknown>>();
  const { config: same } = await AutoModel.from_pretrained(id);
  is<Same<typeof same, PretrainedConfig>>();
  env.logLevel = LogLevel.ERROR;
  const tokenizer = await AutoTokenizer.from_pretrained(id);
  is<Same<ReturnType<typeof tokenizer.get_vocab>, Map<string, number>>>();
  is<Same<ReturnType<typeof randn>, Tensor<'float32'>>>();
  // @ts-expect-error: the version is no setting
  env.version = '2';

  const remote = await inWorker.BertTokenizer.from_pretrained(id);
  const vocab = await remote.get_vocab();
  is<Same<typeof vocab, Map<string, number>>>();
  const output = await (await inWorker.BertForMaskedLM.from_pretrained(id))(await remote('a [MASK]'));
  output.logits satisfies Tensor;
  inWorker.env.logLevel = inWorker.LogLevel.NONE;
  const kept: inWorker.PretrainedConfig = await inWorker.AutoConfig.from_pretrained(id);
  kept satisfies PretrainedConfig;
}
