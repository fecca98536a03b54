import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { expect, test } from 'vitest';

/** Bundles files that exist in memory, by their names, or on the disk. */
async function bundle(entry: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const nameOf = (id: string) => Object.keys(files).find(name => id.endsWith(name));
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    plugins: [{ name: 'memory', enforce: 'pre', resolveId: nameOf, load: id => files[id] }],
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry, formats: ['es'] },
      rolldownOptions: { external: [/^node:/], output: { codeSplitting: false } },
    },
  });
  const [built] = [result].flat() as Rolldown.RolldownOutput[];
  return built!.output.map(file => (file.type === 'chunk' ? file.code : '')).join('\n');
}

// The library is one file, so a page's bundler cannot drop modules: each statement must show by itself that it has no side effects.
test('a bundler drops the classes that a page does not use', async () => {
  const library = await bundle(fileURLToPath(new URL('../src/index.ts', import.meta.url)));
  const page = (name: string) =>
    bundle('page.js', { 'library.js': library, 'page.js': `export { ${name} } from 'library.js';` });

  const error = await page('InputError');
  expect(error).toContain('class extends WebGPUBertError');
  for (const text of ['_getitem', 'from_pretrained', 'output_attentions', 'hypothesis_template']) {
    expect(library).toContain(text);
    expect(error).not.toContain(text);
  }
  const tensor = await page('Tensor');
  expect(tensor).toContain('_getitem');
  expect(tensor).not.toContain('from_pretrained');
  const model = await page('AutoModel');
  expect(model).toContain('output_attentions');
  for (const text of ['hypothesis_template', 'split_special_tokens']) {
    expect(library).toContain(text);
    expect(model).not.toContain(text);
  }
});
