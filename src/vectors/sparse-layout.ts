import type { ModelSource } from '../checkpoint/source/index.ts';
import { type Module, type SentenceSettings, transformerSettings } from '../engine/index.ts';
import { oneOf, UnsupportedError } from '../errors.ts';
import type { VocabularyPooling } from '../plan/index.ts';
import { optionalConfigOf, type Repository, refuseKind } from './repository.ts';
import { type EncodeTask, type Router, readRouter, singleRoute } from './router.ts';

/** How the texts of a route become vectors. */
export type SparseRoute =
  /** The logits of a masked language model, pooled (SPLADE). */
  | { readonly kind: 'splade'; readonly pooling: VocabularyPooling }
  /** The weight of each token that occurs, from a table in this folder: no model runs. */
  | { readonly kind: 'static'; readonly folder: string };

/** What a repository says of a sparse encoder, before its weights are read. */
export interface SparseLayout {
  readonly routes: ReadonlyMap<string, SparseRoute>;
  readonly routeOf: (task: EncodeTask | undefined) => string;
  /** The folder of the language model. */
  readonly folder: string;
  readonly transformer: Pick<SentenceSettings, 'maxLength' | 'lowerCase'>;
}

const CLASS = 'SparseEncoder';
const KINDS = ['Transformer, SpladePooling', 'MLMTransformer, SpladePooling', 'SparseStaticEmbedding'];

/**
 * The layout of a repository; without modules.json that of a masked language model with max pooling, as sentence-transformers takes it.
 * Throws UnsupportedError for a repository of another kind, with the class to take, and for modules that are not built.
 */
export async function sparseLayout(source: ModelSource, repository: Repository): Promise<SparseLayout> {
  const { modules, kind, architectures } = repository;
  if (kind !== undefined && kind !== CLASS) throw refuseKind(CLASS, kind);
  if (modules === undefined) {
    if (!architectures.some(name => name.endsWith('ForMaskedLM'))) {
      throw refuseKind(CLASS, `${architectures.join(', ') || 'a model without `architectures`'}, without modules.json`);
    }
    return {
      routes: new Map([['', { kind: 'splade', pooling: { pooling: 'max', logarithms: 1 } }]]),
      routeOf: () => '',
      folder: '',
      transformer: { maxLength: undefined, lowerCase: false },
    };
  }
  const router = await routerOf(source, modules);
  const routes = new Map<string, SparseRoute>();
  const folders = new Set<string>();
  for (const [name, list] of router.routes) {
    const route = await routeOf(source, list);
    if (route.kind === 'splade') folders.add(list[0]!.path);
    routes.set(name, route);
  }
  const [folder, ...others] = folders;
  if (folder === undefined || others.length > 0) {
    throw new UnsupportedError({
      what: 'this sparse encoder is not supported: its routes have not exactly one language model',
      actual: folders.size === 0 ? 'none' : [...folders].map(name => name || 'the top folder').join(', '),
      expected: 'one, in the modules of one route or of several',
      supported: ['one language model'],
      next: 'Take a sparse encoder whose documents go through one SPLADE model.',
    });
  }
  return { routes, routeOf: router.routeOf, folder, transformer: await transformerSettings(source, folder, 'words') };
}

/** The folders of the tables of weights. */
export const tablesOf = ({ routes }: SparseLayout): string[] =>
  [...routes.values()].flatMap(route => (route.kind === 'static' ? [route.folder] : []));

async function routerOf(source: ModelSource, modules: readonly Module[]): Promise<Router> {
  const [first, ...rest] = modules;
  const isRouter = rest.length === 0 && (first?.kind === 'Router' || first?.kind === 'Asym');
  return isRouter ? readRouter(source, first.path) : singleRoute(modules);
}

async function routeOf(source: ModelSource, modules: readonly Module[]): Promise<SparseRoute> {
  const kinds = modules.map(({ kind }) => kind).join(', ');
  oneOf(
    'this list of modules in a sparse encoder',
    kinds,
    KINDS,
    'For vectors of another kind take pipeline("feature-extraction").',
  );
  const [first, pooling] = modules;
  if (!pooling) return { kind: 'static', folder: first!.path };
  const { json } = await optionalConfigOf(source, pooling);
  const value = <T extends string>(name: string, values: readonly [T, ...T[]]): T =>
    oneOf<unknown>(`"${name}" of the SpladePooling`, name in json ? json[name] : values[0], values) as T;
  return {
    kind: 'splade',
    pooling: {
      pooling: value('pooling_strategy', ['max', 'sum']),
      logarithms: value('activation_function', ['relu', 'log1p_relu']) === 'relu' ? 1 : 2,
    },
  };
}
