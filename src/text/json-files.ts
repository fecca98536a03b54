import type { JsonFile } from '../json.ts';

const next =
  'Save the tokenizer again with save_pretrained of a current transformers; where Python reads this file, please report it.';

export const TOKENIZER_FILE: JsonFile = { name: 'tokenizer.json', next };
export const TOKENIZER_CONFIG_FILE: JsonFile = { name: 'tokenizer_config.json', next };
