import { install, outOfReach } from './packages.mjs';
import { at } from './root.mjs';
import { run } from './run.mjs';
import { Stop } from './step.mjs';

const folder = at('tests', 'adapters');

/**
 * Installs the packages that the adapters are written for, and compiles the tests of the adapters, and what they use, against these
 * packages and the types of dist/, which must have been built.
 * @returns {Promise<{ why?: string }>} `why` the tests cannot be run, where the registry is out of reach.
 */
export async function prepareAdapters() {
  try {
    // Optional are native parts of servers, which nothing here starts.
    await install(folder, { flags: ['--omit=optional'], next: 'mend what npm says above.' });
  } catch (error) {
    const offline = outOfReach(error);
    if (offline === undefined) throw error;
    return { why: `the packages of tests/adapters could not be fetched (${offline})` };
  }
  const compiler = at('node_modules', 'typescript', 'bin', 'tsc');
  const { ok, output } = await run(process.execPath, [compiler, '-p', folder]);
  if (!ok) throw new Stop(`tests/adapters does not compile:\n${output.trim()}`, 'mend the adapter or its test.');
  return {};
}
