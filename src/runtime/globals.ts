interface Globals {
  caches: CacheStorage;
  document: Document;
  location: Location;
  navigator: Navigator;
}

/**
 * A global that not every environment has: Node 20 has no `navigator`, a worker no `document`; and the getter `caches` throws a
 * SecurityError in a frame without storage (a sandbox without allow-same-origin). Undefined in each of these cases.
 */
export function globalOf<Name extends keyof Globals>(name: Name): Globals[Name] | undefined {
  try {
    return (globalThis as Partial<Globals>)[name];
  } catch {
    return undefined;
  }
}
