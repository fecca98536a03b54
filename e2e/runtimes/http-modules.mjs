/** Hooks that let Node import the modules of the tests' server, as pages and Deno do. */

/** @type {import('node:module').ResolveHook} */
export function resolve(specifier, context, next) {
  const from = context.parentURL;
  if (specifier.startsWith('http:')) return { url: specifier, format: 'module', shortCircuit: true };
  if (from?.startsWith('http:') && /^[./]/.test(specifier)) {
    return { url: new URL(specifier, from).href, format: 'module', shortCircuit: true };
  }
  return next(specifier, context);
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  if (!url.startsWith('http:')) return next(url, context);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return { format: 'module', source: await response.text(), shortCircuit: true };
}
