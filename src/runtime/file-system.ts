/** Node, Deno and Bun; not a page or its workers, which have a `location`, even where a bundler brings a `process`. */
export function hasFileSystem(): boolean {
  return (
    'Deno' in globalThis || (typeof process === 'object' && !!process.versions?.node && !('location' in globalThis))
  );
}
