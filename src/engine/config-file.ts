import { adapterAdvice } from '../checkpoint/file/index.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { SourceError, UnsupportedError } from '../errors.ts';
import { isRecord, type Json } from '../json.ts';
import { glinerError, MODEL_TYPES, modelTypeOf } from '../model/index.ts';

/**
 * config.json. Where there is none, the error says what the repository is instead, if that can be told.
 * @param folder the folder of the file; '' for the top one
 * @throws UnsupportedError for an adapter without its model, and for GLiNER; else the SourceError of the file that is missing
 */
export async function requireConfig(source: ModelSource, folder = ''): Promise<unknown> {
  try {
    return await source.json(inside(folder, 'config.json'));
  } catch (error) {
    if (!(error instanceof SourceError && error.status === 404)) throw error;
    throw (await otherRepository(source, folder)) ?? error;
  }
}

/** The error for a repository that has files of another library in place of config.json; undefined for any other. */
export async function otherRepository(source: ModelSource, folder = ''): Promise<UnsupportedError | undefined> {
  const [adapterConfig, tagger] = await Promise.all(
    ['adapter_config.json', 'gliner_config.json'].map(file =>
      source.json(inside(folder, file), { optional: true }).catch(error => {
        if (!(error instanceof SourceError)) throw error;
      }),
    ),
  );
  if (adapterConfig !== undefined) {
    return new UnsupportedError({
      what: `${source.name} is not supported`,
      actual: 'adapter_config.json, an adapter without the model that it adapts',
      expected: 'config.json, of a whole model',
      supported: ['a whole model'],
      next: adapterAdvice(adapterConfig),
    });
  }
  return tagger === undefined ? undefined : glinerError(source.name, MODEL_TYPES);
}

/**
 * The error for a model that is not supported, whatever its other files are: by config.json, or by what stands in its place. Undefined
 * where these say nothing against it; a static model may say nothing at all.
 */
export async function refusalOf(source: ModelSource, folder = ''): Promise<UnsupportedError | undefined> {
  try {
    const json = await source.json(inside(folder, 'config.json'), { optional: true });
    if (json === undefined) return await otherRepository(source, folder);
    if (isRecord(json) && namesFamily(json)) modelTypeOf(json, MODEL_TYPES);
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    if (!(error instanceof SourceError)) throw error;
  }
  return undefined;
}

/** Whether config.json is of a transformer. A static model has none, an empty one or model2vec's. */
const namesFamily = ({ model_type, architectures, auto_map }: Json): boolean =>
  model_type !== 'model2vec' && [model_type, architectures, auto_map].some(value => (value ?? undefined) !== undefined);
