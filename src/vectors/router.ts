import { inside, isSafePath, type ModelSource } from '../checkpoint/source/index.ts';
import { type Module, moduleOf } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import { Fields, isText, type Json } from '../json.ts';

/** For what a text is encoded. */
export type EncodeTask = 'query' | 'document';

/** Modules for each of several tasks: sentence-transformers' Router (base/modules/router.py). */
export interface Router {
  /** The modules of every route, by its name. */
  readonly routes: ReadonlyMap<string, readonly Module[]>;
  /** The name of the route for a task; undefined: no task. Throws InputError for a task without one. */
  readonly routeOf: (task: EncodeTask | undefined) => string;
}

const FILE = 'router_config.json';

/** Every task takes the same modules. */
export const singleRoute = (modules: readonly Module[]): Router => ({
  routes: new Map([['', modules]]),
  routeOf: () => '',
});

/** Reads the routes of a Router in `folder`. Throws SourceError where its file is missing or malformed. */
export async function readRouter(source: ModelSource, folder: string): Promise<Router> {
  const named = await source.json(inside(folder, FILE), { optional: true });
  // Versions before 5 have another name.
  const file = named === undefined ? inside(folder, 'config.json') : inside(folder, FILE);
  const fields = new Fields(named ?? (await source.json(file)), '', file);
  const [types, structure] = [fields.fields('types'), fields.fields('structure')];
  const moduleNamed = (id: unknown): Module => {
    if (!isText(id) || !isSafePath(id)) {
      throw fields.malformed(id, 'the folder of a module, such as "query_0_SparseStaticEmbedding"', 'structure');
    }
    return moduleOf(types.text(id), [folder, id].filter(Boolean).join('/'));
  };
  const routes = new Map(
    Object.keys(structure.json).map(name => [name, structure.list(name).map(moduleNamed)] as const),
  );
  if (routes.size === 0) throw fields.malformed(structure.json, 'at least one route', 'structure');
  const parameters = fields.has('parameters') ? fields.fields('parameters').json : {};
  return { routes, routeOf: task => routeName([...routes.keys()], parameters, task) };
}

/** As Router._resolve_route for texts: a mapping of task and modality, a route of the task's name, the default route. */
function routeName(names: readonly string[], parameters: Json, task: EncodeTask | undefined): string {
  const mappings = Object(parameters.route_mappings ?? {}) as Json;
  const quoted = (value: string | undefined) => (value === undefined ? 'None' : `'${value}'`);
  const wanted = [
    [task, 'text'],
    [task, undefined],
    [undefined, 'text'],
    [undefined, undefined],
  ].map(([of, modality]) => mappings[`(${quoted(of)}, ${quoted(modality)})`]);
  const fallback = task === undefined ? (parameters.default_route ?? names[0]) : undefined;
  const name = [...wanted, task, 'text', fallback].find(candidate => names.includes(candidate as string));
  if (name !== undefined) return name as string;
  throw new InputError({
    what: 'the model has no modules for this task',
    actual: task ?? 'no task',
    expected: names.join(', '),
    next: 'Pass one of these as `task`.',
  });
}
