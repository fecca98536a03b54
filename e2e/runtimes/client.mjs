/**
 * The side of a test that runs in Node or Deno, as e2e/site/page.ts is the one that runs in a page: loads the suite of an address from
 * the tests' server, and then evaluates the expressions that come on stdin, a line of JSON each. What it answers goes to stdout, a line
 * of JSON each: `{ id, value }`, `{ id, error }`, or `{ line, kind }` for what was printed.
 *
 * usage: node client.mjs ADDRESS [PACKAGE]     PACKAGE: the module that gives Node its WebGPU
 */
import process from 'node:process';
import { createInterface } from 'node:readline';

const [address = '', dawn] = process.argv.slice(2);

/** @param {object} message */
const send = message => void process.stdout.write(`${JSON.stringify(message)}\n`);

for (const name of /** @type {const} */ (['log', 'info', 'debug', 'warn', 'error'])) {
  console[name] = (/** @type {unknown[]} */ ...values) =>
    send({ kind: name === 'error' ? 'error' : 'console', line: values.map(String).join(' ') });
}

if (dawn) {
  const { register } = await import('node:module');
  register(new URL('./http-modules.mjs', import.meta.url));
  const { create, globals } = await import(dawn);
  Object.assign(globalThis, globals);
  const gpu = create([]);
  attributesOnPrototype(GPUAdapter.prototype, gpu, 'requestAdapter', ['limits']);
  attributesOnPrototype(GPUDevice.prototype, GPUAdapter.prototype, 'requestDevice', ['limits', 'queue']);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
}

/**
 * Moves attributes of what a method gives to its prototype. Dawn has them on the objects themselves, where gpu-watch.ts and
 * gpu-limits.ts, which look at every object of a class, cannot reach them.
 * @template {object} M @param {object} prototype @param {M} maker @param {keyof M} method @param {readonly string[]} names
 */
function attributesOnPrototype(prototype, maker, method, names) {
  /** @type {WeakMap<object, Record<string, unknown>>} */
  const values = new WeakMap();
  const original = /** @type {(...values: unknown[]) => Promise<object | null>} */ (maker[method]);
  Object.assign(maker, {
    /** @this {M} @param {unknown[]} args */
    async [method](...args) {
      const made = await original.apply(this, args);
      if (!made) return made;
      values.set(made, Object.fromEntries(names.map(name => [name, Reflect.get(made, name)])));
      for (const name of names) Reflect.deleteProperty(made, name);
      return made;
    },
  });
  for (const name of names) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      /** @this {object} */
      get() {
        return values.get(this)?.[name];
      },
    });
  }
}

/** @param {unknown} error */
const words = error => (error instanceof Error ? (error.stack ?? error.message) : String(error));

const lines = createInterface({ input: process.stdin });
lines.on('line', async line => {
  const { id, expression } = JSON.parse(line);
  try {
    // biome-ignore lint/security/noGlobalEval: what page.evaluate() of a browser does.
    send({ id, value: await globalThis.eval(expression) });
  } catch (error) {
    send({ id, error: words(error) });
  }
});
// Dawn's instance would keep the process alive.
lines.on('close', () => process.exit(0));

Object.assign(globalThis, { testOrigin: new URL(address).origin, testRoot: new URL('../..', import.meta.url).href });
const { loadSuite } = await import(new URL('/suites/suite.js', address).href);
await loadSuite(new URL(address).searchParams);
