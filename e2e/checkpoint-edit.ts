import { readTensors, safetensors, type TensorBytes } from '../tests/checkpoint-bytes.ts';
import { fetchFiles } from './library.ts';

type Files = Record<string, Uint8Array<ArrayBuffer>>;
interface Edit {
  /** Fields that take the place of config.json's. */
  config?: object;
  /** Tensors of a safetensors file, by name: changed in place. */
  tensors?: (tensors: Record<string, TensorBytes>) => void;
}

const text = new TextDecoder();

export const floats = (values: ArrayLike<number>, shape: number[]): TensorBytes => ({
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

export const valuesOf = ({ bytes }: TensorBytes): Float32Array => new Float32Array(bytes.slice().buffer);

/** The files of a model, with something else in them. */
export async function edited(base: string, { config, tensors }: Edit): Promise<Files> {
  const files: Files = await fetchFiles(base);
  if (config) {
    const raw = JSON.parse(text.decode(files['config.json']));
    files['config.json'] = new TextEncoder().encode(JSON.stringify({ ...raw, ...config }));
  }
  if (tensors) {
    const all = readTensors(files['model.safetensors']!);
    tensors(all);
    files['model.safetensors'] = safetensors(all);
  }
  return files;
}
