import type { ProgressInfo } from '../../src/index.ts';
import { liveBuffers, takeCounts } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { BERT, fetchFiles, library, once, ownDevice } from '../library.ts';

/** What happens between the call and the model: the network, the cache, the kernels, and a change of mind. */

const { AutoModel, AutoTokenizer, DeviceError, env, pipeline, SourceError } = library;

const ID = 'random/bert-base';
const shared = once(ownDevice);
const { fetch: plainFetch } = env;

interface Gate {
  open(): void;
  /** Resolves when everything but the last bytes of the weights has been handed over. */
  reached: Promise<void>;
}

/** Holds back the last `held` bytes of model.safetensors until the gate opens. */
function holdWeights(held: number): Gate {
  let open: () => void = () => undefined;
  let reach: () => void = () => undefined;
  const opened = new Promise<void>(resolve => {
    open = resolve;
  });
  const reached = new Promise<void>(resolve => {
    reach = resolve;
  });
  env.fetch = async (input, init) => {
    const response = await plainFetch(input, init);
    if (!input.endsWith('model.safetensors') || !response.ok) return response;
    const bytes = new Uint8Array(await response.arrayBuffer());
    const parts = [bytes.subarray(0, bytes.length - held), bytes.subarray(bytes.length - held)];
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (parts.length === 1) {
          reach();
          await opened;
        }
        controller.enqueue(parts.shift()!);
        if (parts.length === 0) controller.close();
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
  return { open, reached };
}

/** Runs a case with settings of `env` that are put back afterwards. */
async function withEnv(settings: Partial<typeof env>, body: () => Promise<void>): Promise<void> {
  const kept = { ...env };
  Object.assign(env, settings);
  try {
    await body();
  } finally {
    Object.assign(env, kept);
  }
}

const soon = <T>(promise: Promise<T>, what: string, limitMs = 30_000): Promise<T> => {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`${what} did not happen in ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([promise, late]);
};

check('all kernels are compiled before the last byte of the weights has come', () =>
  withEnv({}, async () => {
    const gate = holdWeights(64);
    const events: ProgressInfo[] = [];
    let allCompiled: () => void = () => undefined;
    const compiled = new Promise<void>(resolve => {
      allCompiled = resolve;
    });
    const loading = pipeline('feature-extraction', BERT, {
      progress_callback: info => {
        events.push(info);
        if (info.status === 'compile' && info.loaded === info.total) allCompiled();
      },
    });
    loading.catch(() => undefined);
    const held = liveBuffers().count;
    takeCounts();
    await soon(gate.reached, 'the download');
    await soon(compiled, 'the compilation');
    const download = events.findLast(info => info.status === 'progress' && info.file === 'model.safetensors');
    expect(download?.status === 'progress' && download.progress < 100, 'the weights had come already');
    expect(!events.some(({ status }) => status === 'ready'), 'it was ready before the weights');
    const before = takeCounts().createComputePipelineAsync;
    const compile = events.findLast(info => info.status === 'compile');
    const kernels = compile?.status === 'compile' ? compile.total : Number.NaN;
    expect(kernels >= 5, `${kernels} kernels`);
    expect(before >= kernels, `${before} of ${kernels} were compiled while the weights were on their way`);
    gate.open();
    const extract = await loading;
    await extract('a', { pooling: 'mean', normalize: true });
    expectEqual(takeCounts().createComputePipelineAsync, 0, 'pipelines compiled after the download');
    expect(liveBuffers().count > held, 'nothing stands on the device of the library');
    await extract.dispose();
    expectEqual(liveBuffers().count, held, 'buffers left on the device of the library');
  }),
);

check('the weights go to the GPU while they come, not when they have come', () =>
  withEnv({}, async () => {
    const gate = holdWeights(64);
    const uploads: number[] = [];
    const loading = AutoModel.from_pretrained(BERT, {
      device: await shared(),
      progress_callback: info => {
        if (info.status === 'upload') uploads.push(info.progress);
      },
    });
    loading.catch(() => undefined);
    await soon(gate.reached, 'the download');
    // Nothing else can come before the gate opens; a busy machine takes its time for it.
    const began = performance.now();
    while ((uploads.at(-1) ?? 0) <= 90 && performance.now() - began < 20_000) {
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    const most = uploads.at(-1) ?? 0;
    expect(most > 90 && most < 100, `${most} % were on the GPU while the last bytes were held back`);
    gate.open();
    await (await loading).dispose();
    expectEqual(uploads.at(-1), 100, 'upload at the end');
  }),
);

check('a signal aborts a load at once, and nothing is left', () =>
  withEnv({}, async () => {
    const device = await shared();
    const before = liveBuffers(device).count;
    const gate = holdWeights(64);
    const reason = new Error('no longer wanted');
    const stop = new AbortController();
    let upload: () => void = () => undefined;
    const uploading = new Promise<void>(resolve => {
      upload = resolve;
    });
    const progress_callback = ({ status }: ProgressInfo) => status === 'upload' && upload();
    const loading = AutoModel.from_pretrained(BERT, { device, signal: stop.signal, progress_callback });
    const thrown = expectThrows(() => loading, 'an aborted load');
    await soon(Promise.all([gate.reached, uploading]), 'the upload');
    expect(liveBuffers(device).count > before, 'there was nothing on the device before the abort');
    stop.abort(reason);
    expect((await soon(thrown, 'the rejection', 10_000)) === reason, 'it rejects with something else than the reason');
    expectEqual(liveBuffers(device).count, before, 'buffers on the device');
    const early = await expectThrows(
      () => pipeline('feature-extraction', BERT, { signal: AbortSignal.abort(reason) }),
      'early',
    );
    expect(early === reason, 'a signal aborted before');
    const tokenizer = expectThrows(
      () => AutoTokenizer.from_pretrained(BERT, { signal: AbortSignal.abort(reason) }),
      'tok',
    );
    expect((await tokenizer) === reason, 'a tokenizer');
  }),
);

check('a tokenizer that fails late takes the model with it', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  await withEnv(
    {
      fetch: async (input, init) => {
        if (!input.endsWith('tokenizer.json')) return plainFetch(input, init);
        // Until the model stands there: what a pass is read back through is made last.
        while (!liveBuffers(device).labels.some(label => label.includes('readback'))) {
          await new Promise(resolve => setTimeout(resolve, 20));
        }
        return new Response('not found', { status: 404 });
      },
    },
    async () => {
      const error = await expectThrows(() => pipeline('feature-extraction', BERT, { device }), 'no tokenizer');
      expect(error instanceof SourceError && error.file === 'tokenizer.json', `${error}`);
    },
  );
  await new Promise(resolve => setTimeout(resolve, 100));
  expectEqual(liveBuffers(device).count, before, 'buffers on the device');
});

check('a model of the hub: redirects, the cache, then offline', async log => {
  const remoteHost = await (await fetch('/hub')).text();
  const cacheKey = 'webgpu-bert-e2e';
  await caches.delete(cacheKey);
  const device = await shared();
  const requests: string[] = [];
  const counting = (input: string, init?: RequestInit) => {
    requests.push(input);
    return plainFetch(input, init);
  };
  await withEnv({ remoteHost, useBrowserCache: true, cacheKey, fetch: counting }, async () => {
    const first = await pipeline('feature-extraction', ID, { device });
    const wanted = (await first('Paris is the capital of France.', { pooling: 'mean' })).tolist();
    await first.dispose();
    const needed = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];
    for (const file of needed) {
      expect(
        requests.some(url => url === `${remoteHost}${ID}/resolve/main/${file}`),
        `${file} was not asked for: ${requests.join(', ')}`,
      );
    }
    const online = requests.length;
    requests.length = 0;
    env.fetch = input => {
      requests.push(input);
      return Promise.reject(new TypeError('offline'));
    };
    const second = await pipeline('feature-extraction', ID, { device });
    expectSameBits((await second('Paris is the capital of France.', { pooling: 'mean' })).tolist(), wanted, 'offline');
    await second.dispose();
    // A file that the model lacks may be added one day: it is asked for again, and taken for missing when nothing answers.
    const asked = requests.map(url => url.split('/').at(-1));
    expectEqual(asked, ['modules.json'], 'requests when everything is in the cache');
    await caches.delete(cacheKey);
    const error = await expectThrows(() => AutoModel.from_pretrained(ID, { device }), 'offline without a cache');
    expect(error instanceof SourceError, `offline without a cache: ${error}`);
    log(`${online} requests, then none but for what the model lacks`);
  });
  await caches.delete(cacheKey);
});

check('a damaged entry of the cache is completed from the server, and not kept', async () => {
  const remoteHost = await (await fetch('/hub')).text();
  const cacheKey = 'webgpu-bert-e2e-damaged';
  await caches.delete(cacheKey);
  const device = await shared();
  await withEnv({ remoteHost, useBrowserCache: true, cacheKey }, async () => {
    const load = async () => (await AutoModel.from_pretrained(ID, { device })).dispose();
    await load();
    const cache = await caches.open(cacheKey);
    const weights = (await cache.keys()).find(({ url }) => url.includes('model.safetensors'))!;
    const kept = (await cache.match(weights))!;
    const bytes = await kept.arrayBuffer();
    await cache.put(weights, new Response(bytes.slice(0, 100_000), { headers: kept.headers }));
    await load();
    const size = async () => (await (await cache.match(weights))?.arrayBuffer())?.byteLength ?? 0;
    expect((await size()) !== 100_000, 'the damaged entry is still there');
    await load();
    expectEqual(await size(), bytes.byteLength, 'the size of the entry after one more load');
  });
  await caches.delete(cacheKey);
});

check('a hub that tells the commit: all is of that commit, and what is kept whole asks for nothing', async () => {
  const remoteHost = await (await fetch('/hub')).text();
  const cacheKey = 'webgpu-bert-e2e-commit';
  await caches.delete(cacheKey);
  const device = await shared();
  const commit = 'c'.repeat(40);
  const requests: string[] = [];
  const telling = async (input: string, init?: RequestInit) => {
    requests.push(input.replace(remoteHost, ''));
    const response = await plainFetch(input.replace(commit, 'main'), init);
    // What the CDN gives tells none.
    if (response.url.includes('/cdn/')) return response;
    const headers = new Headers(response.headers);
    headers.set('x-repo-commit', commit);
    return new Response(response.body, { status: response.status, headers });
  };
  await withEnv({ remoteHost, useBrowserCache: true, cacheKey, fetch: telling }, async () => {
    const load = async () => (await pipeline('feature-extraction', ID, { device })).dispose();
    await load();
    const atBranch = requests.filter(path => path.includes('/resolve/main/'));
    expectEqual(atBranch, [`${ID}/resolve/main/config.json`], 'what was asked for at the branch');
    const cache = await caches.open(cacheKey);
    for (const request of await cache.keys()) {
      expectEqual((await cache.match(request))?.headers.get('x-repo-commit'), commit, `the commit of ${request.url}`);
    }
    requests.length = 0;
    await load();
    expectEqual(requests, [], 'requests when everything is in the cache');
  });
  await caches.delete(cacheKey);
});

check('ModelRegistry: what a model costs before, and what is kept of it after, it is loaded', async log => {
  const { ModelRegistry } = library;
  const remoteHost = await (await fetch('/hub')).text();
  const cacheKey = 'webgpu-bert-e2e-registry';
  await caches.delete(cacheKey);
  const device = await shared();
  await withEnv({ remoteHost, useBrowserCache: true, cacheKey }, async () => {
    const task = 'feature-extraction';
    const cost = await ModelRegistry.get_pipeline_download_size(task, ID);
    expectEqual([cost.cached, cost.download === cost.total, cost.total > 300_000], [0, true, true], 'before');
    const footprint = await ModelRegistry.get_pipeline_memory_footprint(task, ID, { device });
    expectEqual(await (await caches.open(cacheKey)).keys(), [], 'what asking has kept');
    for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
      const extract = await pipeline(task, ID, { device, dtype });
      expectEqual((await extract.model.bytes()).weights, footprint[dtype], `bytes on the GPU in ${dtype}`);
      await extract.dispose();
    }
    expectEqual(await ModelRegistry.is_pipeline_cached(task, ID), true, 'is_pipeline_cached');
    expectEqual((await ModelRegistry.get_pipeline_download_size(task, ID)).download, 0, 'download when it is kept');
    const kept = await ModelRegistry.get_cache_size(ID);
    expectEqual(kept.total, cost.total, 'bytes in the cache');
    const models = await ModelRegistry.get_cached_models();
    expectEqual(models, [{ model: ID, revision: 'main', total: kept.total, files: models[0]?.files }], 'all models');
    const metadata = await ModelRegistry.get_file_metadata(ID, 'model.safetensors');
    expectEqual([metadata.exists, metadata.fromCache], [true, true], 'metadata of a kept file');
    const cleared = await ModelRegistry.clear_cache(ID);
    expectEqual([cleared.filesCached, cleared.filesDeleted], [4, 4], 'clear_cache');
    expectEqual(await (await caches.open(cacheKey)).keys(), [], 'what is left');
    expectEqual(await ModelRegistry.is_cached(ID), false, 'is_cached after it was cleared');
    log(`${cost.total} bytes to download; on the GPU ${JSON.stringify(footprint)}`);
  });
  await caches.delete(cacheKey);
});

check('revision, subfolder, local_files_only', async () => {
  const remoteHost = await (await fetch('/hub')).text();
  const device = await shared();
  await withEnv({ remoteHost }, async () => {
    const other = await expectThrows(() => AutoModel.from_pretrained(ID, { device, revision: 'v9' }), 'a revision');
    expect(other instanceof SourceError && other.message.includes('v9'), `revision: ${other}`);
    const local = await expectThrows(() => AutoModel.from_pretrained(ID, { device, local_files_only: true }), 'local');
    expect(local instanceof library.InputError, `local_files_only: ${local}`);
    const tokenizer = await AutoTokenizer.from_pretrained('random', { subfolder: 'bert-base' }).catch(error => error);
    // The hub has no model "random": only the address that was asked for counts, of whichever file fails first.
    expect(/bert-base.tokenizer(_config)?.json/.test(tokenizer.url ?? tokenizer.message), `subfolder: ${tokenizer}`);
  });
  const tokenizer = await AutoTokenizer.from_pretrained('/fixtures/random/', { subfolder: 'bert-base' });
  expectEqual(tokenizer.encode('a').length, 3, 'tokens from a subfolder');
});

check('integrity: the right digest loads, a wrong one leaves nothing', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  const files = await fetchFiles(BERT);
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', files['model.safetensors']!));
  const hex = [...hash].map(byte => byte.toString(16).padStart(2, '0')).join('');
  const model = await AutoModel.from_pretrained(BERT, { device, integrity: { 'model.safetensors': hex } });
  await model.dispose();
  const wrong = { 'model.safetensors': hex.replace(/^./, digit => (digit === '0' ? '1' : '0')) };
  const error = await expectThrows(
    () => AutoModel.from_pretrained(BERT, { device, integrity: wrong }),
    'a wrong digest',
  );
  expect(error instanceof SourceError && error.message.includes('SHA-256'), `a wrong digest: ${error}`);
  expectEqual(liveBuffers(device).count, before, 'buffers on the device');
});

check('a device that is lost while loading is a DeviceError', () =>
  withEnv({}, async () => {
    const device = await ownDevice();
    const gate = holdWeights(64);
    const loading = AutoModel.from_pretrained(BERT, { device });
    const thrown = expectThrows(() => loading, 'a lost device');
    await soon(gate.reached, 'the download');
    device.destroy();
    await device.lost;
    gate.open();
    const error = await soon(thrown, 'the rejection');
    expect(error instanceof DeviceError, `a device lost while loading: ${error}`);
  }),
);
