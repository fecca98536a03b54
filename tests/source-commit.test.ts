import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSource } from '../src/checkpoint/source/source.ts';
import { noise, safetensors } from './checkpoint-bytes.ts';
import { startHub } from './hub.mjs';
import { bytesOf, environment, expectBytes, fakeCache, thrown } from './source-environment.ts';

const SPRING = 'a'.repeat(40);
const AUTUMN = 'b'.repeat(40);
const FILE = 'model.safetensors';
const weightsOf = (seed: number) => safetensors({ w: { dtype: 'F32', shape: [1000], bytes: noise(4000, seed) } });
const WEIGHTS: Record<string, Uint8Array> = { [SPRING]: weightsOf(1), [AUTUMN]: weightsOf(2) };

let hub: Awaited<ReturnType<typeof startHub>>;
let fake: ReturnType<typeof fakeCache>;
beforeAll(async () => {
  hub = await startHub();
});
beforeEach(() => {
  fake = fakeCache();
  hub.requests.length = 0;
  for (const key of Object.keys(hub.faults)) delete hub.faults[key];
  for (const key of Object.keys(hub.files)) delete hub.files[key];
  hub.commits.main = SPRING;
  hub.commits.autumn = AUTUMN;
  hub.commits.spring = SPRING;
  for (const commit of [SPRING, AUTUMN]) {
    hub.files[`org/name@${commit}/config.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/tokenizer.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/tokenizer_config.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/1_Pooling/config.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/sub/config.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/sub/tokenizer.json`] = JSON.stringify({ commit });
    hub.files[`org/name@${commit}/${FILE}`] = WEIGHTS[commit]!;
  }
});
afterAll(() => hub.stop());

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
const cached = () => ({ useCustomCache: true, customCache: fake.cache });
const open = (more = {}, options = {}, where = 'org/name') => openSource(where, options, environment(hub.url, more));
const offline = { fetch: () => Promise.reject(new TypeError('Failed to fetch')) };
/** The branch moves as soon as one file has been answered. */
const movingAfter = (file: string): { fetch: Fetch } => ({
  fetch: async (input, init) => {
    const response = await fetch(input, init);
    if (input.endsWith(`/${file}`)) hub.commits.main = AUTUMN;
    return response;
  },
});
/** Headers that a mirror does not pass on. */
const mirror: { fetch: Fetch } = {
  fetch: async (input, init) => {
    const response = await fetch(input, init);
    const headers = new Headers(response.headers);
    headers.delete('x-repo-commit');
    return new Response(response.body, { status: response.status, headers });
  },
};

interface Loaded {
  commits: unknown[];
  weights: Uint8Array;
}
/** As `pipeline` asks: all at once, config.json first. */
async function load(source: ReturnType<typeof open>): Promise<Loaded> {
  const json = (file: string) => source.json(file, { optional: true });
  const [weights, ...commits] = await Promise.all([
    source.open(FILE).then(bytesOf),
    json('config.json'),
    json('modules.json'),
    json('tokenizer.json'),
    json('tokenizer_config.json'),
    json('1_Pooling/config.json'),
  ]);
  return { commits: commits.flatMap(each => (each as { commit?: string } | undefined)?.commit ?? []), weights };
}
function expectAll({ commits, weights }: Loaded, commit: string): void {
  expect(commits).toEqual([commit, commit, commit, commit]);
  expectBytes(weights, WEIGHTS[commit]);
}
const paths = (pattern: RegExp) => hub.requests.map(({ path }) => path).filter(path => pattern.test(path));

describe('a branch that moves while a load goes on', () => {
  test.each(['config.json', 'tokenizer_config.json', 'tokenizer.json'])('after %s was answered', async file => {
    const loaded = await load(open(movingAfter(file)));
    expectAll(loaded, loaded.commits[0] as string);
  });

  test('the others wait for the headers of config.json, and are asked for at its commit', async () => {
    hub.files[`org/name@${SPRING}/modules.json`] = '[]';
    // The body of config.json never ends: nobody may wait for it.
    const body = new ReadableStream({
      start: controller => controller.enqueue(new TextEncoder().encode('{"a":'.padEnd(64))),
    });
    const slow: Fetch = (input, init) =>
      input.endsWith('/name/resolve/main/config.json')
        ? Promise.resolve(new Response(body, { headers: { 'x-repo-commit': SPRING } }))
        : fetch(input, init);
    const source = open({ fetch: slow });
    void source.json('config.json').catch(() => undefined);
    const rest = await Promise.all([source.json('tokenizer.json'), source.json('tokenizer_config.json')]);
    expect(rest).toEqual([{ commit: SPRING }, { commit: SPRING }]);
    expect(paths(/resolve\/main/)).toEqual([]);
    expect(paths(/resolve\/a{40}/)).toHaveLength(2);
  });

  test('a file of the CDN, which tells no commit, is not asked for before', async () => {
    const loaded = await load(open(movingAfter('config.json')));
    expectAll(loaded, SPRING);
    expect(paths(/resolve\/main\/model/)).toEqual([]);
  });

  test('without config.json: the tokenizer alone, and the weights alone', async () => {
    const tokenizer = open(movingAfter('tokenizer_config.json'));
    const both = await Promise.all([tokenizer.json('tokenizer_config.json'), tokenizer.json('tokenizer.json')]);
    expect(both).toEqual([{ commit: SPRING }, { commit: SPRING }]);
    hub.commits.main = SPRING;
    const source = open(movingAfter('config.json'));
    const [weights, config] = await Promise.all([
      source.open(FILE).then(bytesOf),
      source.json('1_Pooling/config.json'),
    ]);
    expectBytes(weights, WEIGHTS[SPRING]);
    expect(config).toEqual({ commit: SPRING });
  });

  test('a file that does not exist tells the commit, too', async () => {
    const source = open(movingAfter('modules.json'));
    expect(await source.json('modules.json', { optional: true })).toBeUndefined();
    expect(await source.json('config.json')).toEqual({ commit: SPRING });
  });

  test('a subfolder', async () => {
    const source = open(movingAfter('sub/config.json'), { subfolder: 'sub' });
    const both = await Promise.all([source.json('config.json'), source.json('tokenizer.json')]);
    expect(both).toEqual([{ commit: SPRING }, { commit: SPRING }]);
  });

  test('a local server stands before the hub, and has none of the files', async () => {
    const local = { allowLocalModels: true, localModelPath: `${hub.url}plain/none/` };
    expectAll(await load(open({ ...local, ...movingAfter('name/resolve/main/config.json') })), SPRING);
  });

  test('a download that breaks off is continued at the commit', async () => {
    hub.files[`org/name@${SPRING}/config.json`] = JSON.stringify({ commit: SPRING, long: 'x'.repeat(300_000) });
    hub.faults[`org/name@${SPRING}/config.json`] = { cut: 100_000, times: 1 };
    const config = await open(movingAfter('config.json')).json('config.json');
    expect(config).toMatchObject({ commit: SPRING });
    expect(paths(/config.json$/)).toEqual([
      '/org/name/resolve/main/config.json',
      `/org/name/resolve/${SPRING}/config.json`,
    ]);
  });

  test('two loads at once are each of one commit, and what they keep together is no mixture either', async () => {
    const first = load(open({ ...cached(), ...movingAfter('config.json') }));
    await new Promise(resolve => setTimeout(resolve, 5));
    hub.commits.main = AUTUMN;
    for (const loaded of await Promise.all([first, load(open(cached()))]))
      expectAll(loaded, loaded.commits[0] as string);
    const again = await load(open(cached()));
    expectAll(again, again.commits[0] as string);
  });

  test('AutoModel and AutoTokenizer that begin together are one load, though they know nothing of each other', async () => {
    for (const together of [
      ['config.json', 'tokenizer_config.json'],
      ['tokenizer_config.json', 'config.json'],
    ]) {
      hub.commits.main = SPRING;
      const moving = movingAfter(together[0]!);
      const [model, tokenizer] = [open(moving), open(moving)];
      const [first, second] = together[0] === 'config.json' ? [model, tokenizer] : [tokenizer, model];
      const answers = await Promise.all([
        first.json(together[0]!),
        second.json(together[1]!),
        tokenizer.json('tokenizer.json'),
        model.open(FILE).then(bytesOf),
      ]);
      expect(answers.slice(0, 3)).toEqual([{ commit: SPRING }, { commit: SPRING }, { commit: SPRING }]);
      expectBytes(answers[3] as Uint8Array, WEIGHTS[SPRING]);
      // The next load begins anew.
      expect(await open().json('config.json')).toEqual({ commit: AUTUMN });
    }
  });

  test('an abort while another load leads', async () => {
    const stop = new AbortController();
    let answer: () => void = () => undefined;
    const silent: Fetch = (input, init) =>
      new Promise<void>(resolve => (answer = resolve)).then(() => fetch(input, init));
    const leading = open({ fetch: silent }).json('config.json');
    const reason = new Error('enough');
    const source = open({}, { signal: stop.signal });
    const waiting = [thrown(source.json('config.json')), thrown(source.json('tokenizer.json'))];
    setTimeout(() => stop.abort(reason), 20);
    expect(await Promise.all(waiting)).toEqual([reason, reason]);
    expect(hub.requests).toEqual([]);
    answer();
    expect(await leading).toEqual({ commit: SPRING });
  });

  test('a load that leads and fails holds up no other', async () => {
    const failing = open({ fetch: async () => new Response(null, { status: 401 }) });
    const both = [thrown(failing.json('config.json')), open().json('config.json')];
    const [error, config] = await Promise.all(both);
    expect(error).toMatchObject({ status: 401 });
    expect(config).toEqual({ commit: SPRING });
  });

  test('addresses without a place for the revision: a mixture is an error', async () => {
    const fixed = {
      remoteHost: `${hub.url}org/name/resolve/`,
      remotePathTemplate: 'main',
      ...movingAfter('config.json'),
    };
    const source = open(fixed);
    await source.json('config.json');
    const error = await thrown(source.json('tokenizer.json'));
    expect(error).toMatchObject({ name: 'SourceError', file: 'tokenizer.json' });
    expect(error.message).toContain('moved while it was being loaded');
  });
});

describe('kept files', () => {
  test('a load that was broken off in spring is finished in autumn with the files of spring', async () => {
    await open(cached()).json('config.json');
    hub.commits.main = AUTUMN;
    expectAll(await load(open(cached())), SPRING);
    expectAll(await load(open({ ...cached(), ...offline })), SPRING);
  });

  test('weights of another commit than config.json are not used', async () => {
    await bytesOf(await open(cached()).open(FILE));
    hub.commits.main = AUTUMN;
    await open(cached()).json('config.json');
    expectAll(await load(open(cached())), AUTUMN);
  });

  test('a model that is kept whole asks for nothing, and works offline, with what it does not have', async () => {
    await load(open(cached()));
    hub.commits.main = AUTUMN;
    hub.requests.length = 0;
    expectAll(await load(open(cached())), SPRING);
    expectAll(await load(open({ ...cached(), ...offline })), SPRING);
    expect(hub.requests).toEqual([]);
  });

  test('the tokenizer alone is of the commit of the kept model', async () => {
    await open(cached()).json('config.json');
    hub.commits.main = AUTUMN;
    expect(await open(cached()).json('tokenizer.json')).toEqual({ commit: SPRING });
  });

  test('a commit that is no longer there', async () => {
    await open(cached()).json('config.json');
    hub.commits.main = AUTUMN;
    delete hub.commits.spring;
    const error = await thrown(load(open(cached())));
    expect(error).toMatchObject({ name: 'SourceError', next: 'Load the model again.' });
    expectAll(await load(open(cached())), AUTUMN);
  });

  test('copies of before commits were noted are compared with the server', async () => {
    await load(open(cached()));
    for (const entry of fake.entries.values())
      entry.headers = entry.headers.filter(([name]) => name !== 'x-repo-commit');
    expectAll(await load(open({ ...cached(), ...offline })), SPRING);
    expectAll(await load(open(cached())), SPRING);
    hub.commits.main = AUTUMN;
    const loaded = await load(open(cached()));
    expectAll(loaded, AUTUMN);
  });
});

test('where the header may not be seen, the address that the hub redirects to tells the commit', async () => {
  const redirecting: Fetch = async (input, init) => {
    const response = await mirror.fetch(input, init);
    const url = input.replace('/org/name/resolve/main/', `/api/resolve-cache/models/org/name/${hub.commits.main}/`);
    if (input.endsWith('/main/config.json')) hub.commits.main = AUTUMN;
    return Object.defineProperty(response, 'url', { value: url });
  };
  expectAll(await load(open({ fetch: redirecting })), SPRING);
});

test('a revision that is a commit is asked for as it is', async () => {
  expectAll(await load(open(movingAfter('config.json'), { revision: AUTUMN })), AUTUMN);
  expect(paths(/resolve\/(?!b{40})/)).toEqual([]);
});

test('a mirror that tells no commit: as it comes, and a kept copy is used without asking', async () => {
  expectAll(await load(open({ ...cached(), ...mirror })), SPRING);
  expect(paths(/resolve\/a{40}/)).toEqual([]);
  hub.requests.length = 0;
  expectAll(await load(open({ ...cached(), ...mirror })), SPRING);
  // What does not exist is asked for each time, as nothing proves that it never will.
  expect(paths(/./)).toEqual(['/org/name/resolve/main/modules.json']);
});

describe('a commit that is known beforehand, as when a lost device is replaced', () => {
  const openAt = (commit: string | undefined, more = {}, options = {}) =>
    openSource('org/name', options, environment(hub.url, more), { commit });
  const weightsAt = (commit: string | undefined, more = {}) => openAt(commit, more).open(FILE).then(bytesOf);

  test('of a branch that has moved since', async () => {
    hub.commits.main = AUTUMN;
    expectBytes(await weightsAt(SPRING), WEIGHTS[SPRING]);
    expectAll(await load(openAt(SPRING)), SPRING);
    expect(paths(/resolve\/main/)).toEqual([]);
    // Nothing of it stays with the branch.
    expectAll(await load(open()), AUTUMN);
  });

  test('a source tells it to the next, also where its files were kept', async () => {
    for (const from of [open(cached()), open(cached())]) {
      hub.commits.main = SPRING;
      await load(from);
      hub.commits.main = AUTUMN;
      expect(from.commit()).toBe(SPRING);
      hub.requests.length = 0;
      expectBytes(await weightsAt(from.commit(), cached()), WEIGHTS[SPRING]);
      expectBytes(await weightsAt(from.commit(), { ...cached(), ...offline }), WEIGHTS[SPRING]);
      expect(hub.requests).toEqual([]);
      expectBytes(await weightsAt(from.commit()), WEIGHTS[SPRING]);
    }
  });

  test('where the cache has gone on with the branch', async () => {
    hub.commits.main = AUTUMN;
    await load(open(cached()));
    expectBytes(await weightsAt(SPRING, cached()), WEIGHTS[SPRING]);
    // And whatever is kept then, the next load of the branch is whole.
    expectAll(await load(open(cached())), AUTUMN);
  });

  test('with a local server before the hub, in a subfolder, and of a revision that is one', async () => {
    hub.commits.main = AUTUMN;
    const local = { allowLocalModels: true, localModelPath: `${hub.url}plain/none/` };
    expectBytes(await weightsAt(SPRING, local), WEIGHTS[SPRING]);
    expect(await openAt(SPRING, {}, { subfolder: 'sub' }).json('config.json')).toEqual({ commit: SPRING });
    expect(await openAt(SPRING, {}, { revision: SPRING }).json('config.json')).toEqual({ commit: SPRING });
  });

  test('that is no longer there: an error, and no file of another', async () => {
    delete hub.commits.spring;
    hub.commits.main = AUTUMN;
    expect(await thrown(weightsAt(SPRING))).toMatchObject({ name: 'SourceError', next: 'Load the model again.' });
  });
});

test('local_files_only asks for nothing', async () => {
  const source = open({ allowLocalModels: true, localModelPath: '/nowhere/' }, { local_files_only: true });
  expect(await source.json('config.json', { optional: true })).toBeUndefined();
  expect(hub.requests).toEqual([]);
});
