import {
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoTokenizer,
  type Classification,
  type Entity,
  type FilledMask,
  pipeline,
  type RankedDocument,
  type Tensor,
  type ZeroShotResult,
} from 'webgpu-bert';

// Nothing here runs: the compiler says whether a program written like this gets the types that it should.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_ extends true>(): void => undefined;

export async function pipelines(id: string): Promise<void> {
  const extractor = await pipeline('feature-extraction', id, { device: 'webgpu', dtype: 'fp32' });
  const embeddings = await extractor(['a', 'b'], { pooling: 'mean', normalize: true, truncate_dim: 64 });
  is<Same<typeof embeddings, Tensor>>();

  const classifier = await pipeline('text-classification', id);
  const classified = await classifier('a', { top_k: null, overflow: 'window' });
  is<Same<typeof classified, Classification[] | Classification[][]>>();
  await classifier({ text: 'a', text_pair: 'b' });
  const sentiment = await pipeline('sentiment-analysis');
  is<Same<typeof sentiment, typeof classifier>>();

  const ner = await pipeline('ner', id);
  const entities = await ner('a', { aggregation_strategy: 'simple', ignore_labels: [] });
  is<Same<typeof entities, Entity[] | Entity[][]>>();

  const unmasker = await pipeline('fill-mask', id);
  const filled = await unmasker('the [MASK]', { top_k: 3, targets: ['a'] });
  is<Same<typeof filled, FilledMask[] | FilledMask[][] | FilledMask[][][]>>();

  const answerer = await pipeline('question-answering', id);
  const answer = await answerer('a?', 'b', { top_k: 1, doc_stride: 3 });
  const first = Array.isArray(answer) ? answer[0] : answer;
  is<Same<NonNullable<typeof first>['start'], number>>();

  const judge = await pipeline('zero-shot-classification', id);
  const judged = await judge('a', ['b', 'c'], { multi_label: true });
  is<Same<typeof judged, ZeroShotResult | ZeroShotResult[]>>();

  const ranker = await pipeline('text-ranking', id);
  const ranked = await ranker('a', ['b'], { return_documents: true, top_k: 1 });
  is<Same<typeof ranked, RankedDocument[]>>();

  const next = await (await pipeline('next-sentence-prediction'))('a', 'b');
  is<Same<typeof next.label, 'IsNext' | 'NotNext'>>();
  const [choice] = await (await pipeline('multiple-choice', id))('a', ['b', 'c']);
  is<Same<NonNullable<typeof choice>['index'], number>>();
  const scores = await (await pipeline('sentence-similarity'))({ source_sentence: 'a', sentences: ['b'] });
  is<Same<typeof scores, number[]>>();

  // @ts-expect-error: there is no such task
  await pipeline('text-generation', id);
  // @ts-expect-error: there is no such pooling
  await extractor('a', { pooling: 'median' });
  // @ts-expect-error: a context is missing
  await answerer('a?');
  await extractor.dispose();
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
  is<Same<typeof logits, Tensor>>();
  is<Same<typeof attentions, Tensor[] | undefined>>();
  is<Same<typeof hidden_states, Tensor[] | undefined>>();
  const reader = await AutoModelForQuestionAnswering.from_pretrained(id);
  const spans = await reader({ input_ids: [[1, 2, 3]] });
  is<Same<typeof spans.start_logits, Tensor>>();
  // @ts-expect-error: this model has no logits
  spans.logits;
  await model.dispose();
}
