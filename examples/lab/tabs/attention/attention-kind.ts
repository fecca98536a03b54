import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoTokenizer,
  CheckpointError,
  ModelRegistry,
  UnsupportedError,
} from 'webgpu-bert';
import { type AttentionModel, loadAttentionModel } from '../../attention/index.ts';
import type { ModelKind } from '../../shell/model-kind.ts';

const library = { AutoModel, AutoModelForMaskedLM, AutoTokenizer, CheckpointError, UnsupportedError };

/** Any encoder whose attention can be read; with its masked-LM head, where it has one. */
export const attentionKind: ModelKind<AttentionModel> = {
  name: 'attention',
  load: (place, options) =>
    loadAttentionModel(library, place, { ...options, name: typeof place === 'string' ? shortName(place) : 'files' }),
  size: (place, options) => ModelRegistry.get_download_size(place, options),
  isKept: place => ModelRegistry.is_cached(place),
};

/** Of an id or a URL. */
const shortName = (place: string): string =>
  place
    .split('/')
    .filter(part => part !== '')
    .at(-1) ?? place;
