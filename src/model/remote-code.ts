import { UnsupportedError } from '../errors.ts';
import { isRecord, isText } from '../json.ts';
import { familyPart } from './class-name.ts';

/** Code of a repository that is computed here as what it is. Classes are judged by name, because copies of the code stand in many places. */
interface RemoteCode {
  readonly modelType: string;
  /** The family's part of the names of its models. */
  readonly models: string;
  /** The family's part of the name of its configuration. */
  readonly config: string;
  /** transformers has models of this name too: only the configuration tells that these are others. */
  readonly isAmbiguous?: true;
}

/**
 * Read in the config.json of nomic-ai/nomic-embed-text-v1.5, Alibaba-NLP/gte-*-v1.5 (also NovaSearch/stella_en_400M_v5),
 * Snowflake/snowflake-arctic-embed-m-v2.0, jinaai/jina-embeddings-v2-* (and -code, whose code is jina-bert-v2-qk-post-norm),
 * jinaai/jina-embeddings-v3 and jina-reranker-v2-base-multilingual, EuroBERT/EuroBERT-*, chandar-lab/NeoBERT.
 */
const REMOTE_CODE: readonly RemoteCode[] = [
  { modelType: 'nomic_bert', models: 'NomicBert', config: 'NomicBert' },
  { modelType: 'new', models: 'New', config: 'New' },
  { modelType: 'gte', models: 'Gte', config: 'Gte' },
  { modelType: 'jina_bert', models: 'JinaBert', config: 'JinaBert' },
  { modelType: 'xlm-roberta-flash', models: 'XLMRoberta', config: 'XLMRobertaFlash', isAmbiguous: true },
  { modelType: 'eurobert', models: 'EuroBert', config: 'EuroBert' },
  { modelType: 'neobert', models: 'NeoBERT', config: 'NeoBERT' },
];

/** The classes that tasks are loaded with here. What others are mapped to is never computed. */
const LOADED = [
  'AutoModel',
  'AutoModelForMaskedLM',
  'AutoModelForPreTraining',
  'AutoModelForSequenceClassification',
  'AutoModelForTokenClassification',
  'AutoModelForQuestionAnswering',
  'AutoModelForMultipleChoice',
  'AutoModelForNextSentencePrediction',
];

/**
 * The family that `auto_map` tells, which says where a repository keeps the code of its classes; undefined where that computes no model.
 * @throws UnsupportedError for code that is not known here: whatever `model_type` says, it may compute something else
 */
export function remoteModelType(autoMap: unknown): string | undefined {
  if (!isRecord(autoMap)) return undefined;
  const references = LOADED.map(key => autoMap[key]).filter(isText);
  const config = isText(autoMap.AutoConfig) ? familyPart(classOf(autoMap.AutoConfig)) : undefined;
  const candidates = REMOTE_CODE.filter(code => (config === undefined ? !code.isAmbiguous : code.config === config));
  const codeOf = (reference: string) => candidates.find(({ models }) => models === familyPart(classOf(reference)));
  if (references.length === 0) return config === undefined ? undefined : candidates[0]?.modelType;
  const code = codeOf(references[0]!);
  const unknown = references.find(reference => code === undefined || codeOf(reference) !== code);
  if (code && unknown === undefined) return code.modelType;
  throw new UnsupportedError({
    what: '"auto_map" of config.json is not supported: it takes the model from code of the repository, which is not run',
    actual: `${classOf(unknown!)} ("${unknown}")`,
    supported: REMOTE_CODE.map(
      ({ models, config, isAmbiguous }) => `${models}…${isAmbiguous ? ` with ${config}Config` : ''}`,
    ),
    next: 'Its name does not tell what it computes. If that is what a class of transformers computes, remove "auto_map" from a copy of config.json.',
  });
}

/** 'NewModel' of 'Alibaba-NLP/new-impl--modeling.NewModel'. */
const classOf = (reference: string): string => reference.slice(reference.lastIndexOf('.') + 1);
