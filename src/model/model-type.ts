import { oneOf, UnsupportedError } from '../errors.ts';
import { isText, type Json } from '../json.ts';
import { familyPart, MODEL_TYPE_OF_CLASSES } from './class-name.ts';
import { checkType } from './refused-types.ts';
import { remoteModelType } from './remote-code.ts';

/**
 * Positions by which a config.json without `auto_map` tells code that is kept in repositories: JinaBERT v2 says that it is a BERT, and
 * XLM-RoBERTa with rotary positions says that it is an XLM-RoBERTa. transformers' own classes have no such positions.
 */
const REMOTE_POSITIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bert: { alibi: 'jina_bert' },
  'xlm-roberta': { rotary: 'xlm-roberta-flash' },
};

/**
 * The family that a config.json is of, one of `supported`. `auto_map` comes first, because code in a repository may compute something
 * else than the class of its `model_type`; where neither is there, the classes in `architectures` tell it.
 * @throws UnsupportedError for code that is not known, and for what is no encoder or not built: with the reason and an encoder to take
 *   instead where these are known, else with the list of families
 */
export function modelTypeOf(json: Json, supported: readonly string[]): string {
  const { model_type, architectures, auto_map } = json;
  const declared = (model_type ?? '') === '' ? undefined : model_type;
  // The reason why a family is not built says more than the name of its class.
  if (isText(declared)) checkType(declared, json, supported);
  const told = remoteModelType(auto_map) ?? declared ?? typeOfClasses(architectures);
  if (isText(told)) checkType(told, json, supported);
  const positions = isText(told) && Object.hasOwn(REMOTE_POSITIONS, told) ? REMOTE_POSITIONS[told] : undefined;
  const { position_embedding_type } = json;
  const modelType =
    positions && isText(position_embedding_type) && Object.hasOwn(positions, position_embedding_type)
      ? positions[position_embedding_type]
      : told;
  if (modelType === undefined && declared === undefined) {
    const classes = Array.isArray(architectures) && architectures.length > 0 ? architectures.join(', ') : 'none';
    throw new UnsupportedError({
      what: 'config.json does not tell the family of the model',
      actual: `no "model_type", and "architectures": ${classes}`,
      expected: `a "model_type", one of ${supported.join(', ')}`,
      supported,
      next: 'Check that this is the folder of the model. If it is, add "model_type" in a copy of config.json.',
    });
  }
  return oneOf<unknown>('"model_type" of config.json', modelType ?? model_type, supported) as string;
}

/** The family of the first class that is known. */
function typeOfClasses(architectures: unknown): string | undefined {
  if (!Array.isArray(architectures)) return undefined;
  const parts = architectures.filter(isText).map(familyPart);
  const part = parts.find(name => Object.hasOwn(MODEL_TYPE_OF_CLASSES, name));
  return part === undefined ? undefined : MODEL_TYPE_OF_CLASSES[part];
}
