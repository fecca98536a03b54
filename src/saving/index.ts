/**
 * Writes the files of a model: the weights as they are now, read back from the device, as safetensors; config.json; and the other files
 * as they were read. `api`, `tasks`, `vectors`, `training` and the root import it. It never knows a text, a task, or how a weight lies on a GPU.
 */

export { copiedFiles, type FoundFiles, noting } from './found-files.ts';
export { modelFiles } from './model-files.ts';
export { checkSaveOptions, SAVED_DTYPES, type SavedDtype, type SaveOptions } from './options.ts';
export { safetensorsFile, savedBytes, type WrittenTensor } from './safetensors.ts';
