import { signal } from '@preact/signals';
import { isSupported, type Support } from 'webgpu-bert';

/** Whether models run here; undefined until that is known. */
export const supported = signal<Support | undefined>(undefined);

let asked: Promise<Support> | undefined;

/** Asks the browser once; the answer is shown where it is no. */
export function support(): Promise<Support> {
  asked ??= isSupported().then(answer => {
    supported.value = answer;
    return answer;
  });
  return asked;
}
