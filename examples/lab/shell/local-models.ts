import { signal } from '@preact/signals';
import { env } from 'webgpu-bert';

/** The ids of models that lie beside the page, under ./models/: nothing has to be downloaded for them. Undefined until the list is there. */
export const localModels = signal<readonly string[] | undefined>(undefined);

/** Resolves once the list is there. */
let listed: Promise<readonly string[]> | undefined;

export function localModelList(): Promise<readonly string[]> {
  listed ??= fetch(new URL('./local-models.json', document.baseURI))
    .then(answer => (answer.ok ? (answer.json() as Promise<unknown>) : []))
    .then(list => (Array.isArray(list) ? list.filter(id => typeof id === 'string') : []))
    // Offline before the first visit was complete: then there are none.
    .catch(() => []);
  return listed;
}

/** The place where a model is loaded from: beside the page where it lies there. */
export async function placeOf(id: string): Promise<string> {
  const local = (await localModelList()).includes(id);
  return local ? new URL(`./models/${id}/`, document.baseURI).href : id;
}

export function useLocalModels(): void {
  const { fetch } = env;
  // A kept file is compared with the server by HEAD. Where the device knows that it is offline, its copy serves without the question.
  env.fetch = (input, init) =>
    init?.method === 'HEAD' && !navigator.onLine
      ? Promise.reject(new TypeError('this device is offline'))
      : fetch(input, init);
  void localModelList().then(list => {
    localModels.value = list;
  });
}
