import type { EncoderConfig } from './encoder-config.ts';

/** What Python calls the encoder inside of a model with a head (base_model_prefix), where it is not the family's name. */
const PREFIXES: Readonly<Record<string, string>> = {
  'xlm-roberta': 'roberta',
  camembert: 'roberta',
  'deberta-v2': 'deberta',
  'megatron-bert': 'bert',
  modernbert: 'model',
  eurobert: 'model',
  gemma3_text: 'model',
  neobert: 'model',
  squeezebert: 'transformer',
  jina_bert: 'bert',
  jina_embeddings_v3: 'roberta',
  'xlm-roberta-flash': 'roberta',
};

/** Families whose models without a head have no pooler, though some models with a head may have one. */
const WITHOUT_POOLER = [
  'distilbert',
  'electra',
  'eurobert',
  'gemma3_text',
  'gte',
  'new',
  'modernbert',
  'neobert',
  'nomic_bert',
  'roformer',
];

/** Whether config.json is of the hub's classes of a family that transformers 5 has under the same name. */
const isHubNomic = ({ modelType, raw }: EncoderConfig): boolean => modelType === 'nomic_bert' && 'n_embd' in raw;

/** Whether a new model without a head has a pooler, as in Python. */
export const poolsWhenNew = (config: EncoderConfig): boolean =>
  config.mayPool && (isHubNomic(config) || !WITHOUT_POOLER.includes(config.modelType));

/** How the tensors of a new model are to be named: which of the spellings of its family (checkpoint/file/spellings.ts), and prefixes. */
export function namesOfNew(
  config: EncoderConfig,
  hasHead: boolean,
): { spelling: number; encoder: string; heads: string } {
  const { modelType, isGated, raw } = config;
  // Python saves a model under the names of the hub's code, also where its class has others.
  const isSecond = (modelType === 'new' && raw.pack_qkv === false) || (modelType === 'nomic_bert' && !isGated);
  const spelling = isSecond ? 1 : 0;
  if (modelType === 'dpr') {
    const isContext = Array.isArray(raw.architectures) && raw.architectures.includes('DPRContextEncoder');
    const heads = isContext ? 'ctx_encoder.' : 'question_encoder.';
    return { spelling, encoder: `${heads}bert_model.`, heads };
  }
  const prefix = isHubNomic(config) ? 'bert' : (PREFIXES[modelType] ?? modelType.replaceAll('-', '_'));
  return { spelling, encoder: hasHead ? `${prefix}.` : '', heads: '' };
}
