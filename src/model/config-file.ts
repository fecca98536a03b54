import { CheckpointError } from '../errors.ts';

/** How errors name config.json. */
export const CONFIG_FILE = { name: 'config.json', error: CheckpointError };
