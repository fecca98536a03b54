import { type Checkpoint, type TensorInfo, tensorFinder } from '../checkpoint/file/index.ts';
import type { ModelSource } from '../checkpoint/source/index.ts';
import { CheckpointError } from '../errors.ts';
import { isRecord } from '../json.ts';
import {
  type EncoderConfig,
  readConfig,
  STATIC_MAPPING,
  STATIC_ROWS,
  STATIC_WEIGHTS,
  staticConfig,
  withCountedLabels,
  withTensors,
} from '../model/index.ts';
import { requireConfig } from './config-file.ts';

/** The names in the file by the canonical ones: sentence-transformers' first, then model2vec's. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  [`${STATIC_ROWS}.weight`]: ['embedding.weight', 'embeddings'],
  [STATIC_WEIGHTS]: ['weights'],
  [STATIC_MAPPING]: ['mapping'],
};

type Tensors = Pick<Checkpoint, 'tensors' | 'leftOut'>;

/** Returns a function from a canonical name to the tensor of a static model's file. */
export const staticFinder =
  ({ tensors }: Pick<Tensors, 'tensors'>) =>
  (canonical: string): TensorInfo | undefined =>
    NAMES[canonical]?.map(name => tensors.get(name)).find(tensor => tensor !== undefined);

/**
 * Whether a model is static: config.json is model2vec's; or it names no family, and modules.json begins with a StaticEmbedding.
 * @param json config.json; undefined where there is none
 * @param isListed whether modules.json says so. It is waited for only where config.json leaves it open.
 */
async function isStatic(json: unknown, isListed: Promise<boolean>): Promise<boolean> {
  const modelType = isRecord(json) ? (json.model_type ?? undefined) : undefined;
  return modelType === undefined ? isListed : modelType === 'model2vec';
}

/** Whether the model is static. Throws SourceError where config.json is malformed. */
export const isStaticModel = async (source: ModelSource, isListed: Promise<boolean>): Promise<boolean> =>
  isStatic(await source.json('config.json', { optional: true }), isListed);

/**
 * The configuration of an encoder: config.json, or for a static model the shapes of its tensors. Throws SourceError,
 * UnsupportedError, CheckpointError.
 * @param isListed whether modules.json says that the model is static; undefined: a static model is refused as an unknown family
 */
export async function encoderConfig(
  source: ModelSource,
  opened: Promise<Tensors>,
  isListed: Promise<boolean> | undefined,
): Promise<EncoderConfig> {
  const ofFile = async (json: unknown) => {
    const config = await withTensors(readConfig(json), async () => (await opened).tensors.keys());
    return withCountedLabels(config, async () => {
      const find = tensorFinder(await opened, config);
      return (find('classifier.out_proj.weight') ?? find('classifier.weight'))?.shape[0];
    });
  };
  if (!isListed) return ofFile(await requireConfig(source));
  const json = await source.json('config.json', { optional: true });
  // Asked for once more, a missing config.json is an error.
  if (!(await isStatic(json, isListed))) return ofFile(json ?? (await requireConfig(source)));
  const find = staticFinder(await opened);
  const rows = find(`${STATIC_ROWS}.weight`);
  if (rows?.shape.length !== 2) {
    throw new CheckpointError({
      what: 'the checkpoint lacks the table of a static model',
      actual: rows ? `"${rows.name}" of shape [${rows.shape.join(', ')}]` : 'no such tensor',
      expected: 'the tensor "embedding.weight" or "embeddings" [rows, columns]',
      next: 'Get the file again, or save the model again.',
    });
  }
  return staticConfig(isRecord(json) ? json : {}, rows.name === 'embeddings' ? 'model2vec' : 'sentence-transformers', {
    rows: rows.shape,
    weights: find(STATIC_WEIGHTS)?.shape,
    mapping: find(STATIC_MAPPING)?.shape,
  });
}
