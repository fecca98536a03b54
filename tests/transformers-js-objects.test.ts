import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  AutoConfig,
  AutoTokenizer,
  env,
  InputError,
  LogLevel,
  PretrainedConfig,
  rand,
  randn,
  SourceError,
  Tensor,
  UnsupportedError,
} from '../src/index.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';

/** What transformers.js 4.3.1 reads of the same files: tests/fixtures/tools/transformers_js_objects.mjs. */
interface Answers {
  LogLevel: Record<string, number>;
  configs: { path: string; added: Record<string, unknown> }[];
  tokenizers: { folder: string; size: number; sha256: string; add_bos_token?: boolean; add_eos_token?: boolean }[];
}
const json = (path: string) => JSON.parse(readFileSync(join(fixtures, path), 'utf8'));
const answers: Answers = json('transformers-js-objects.json');

const usual = { ...env };
afterEach(() => {
  Object.assign(env, usual);
  vi.restoreAllMocks();
});

describe('PretrainedConfig and AutoConfig', () => {
  test.each(answers.configs)(
    '$path: the fields of the file, and those that transformers.js adds',
    ({ path, added }) => {
      const raw = json(path);
      expect(JSON.parse(JSON.stringify(new PretrainedConfig(raw)))).toEqual({ ...raw, ...added });
    },
  );

  test('config.json is all that is asked for', async () => {
    const asked: string[] = [];
    Object.assign(env, {
      useBrowserCache: false,
      fetch: async (url: string) => {
        asked.push(url);
        return new Response(JSON.stringify({ model_type: 'bert', hidden_size: 32 }));
      },
    });
    const heard: string[] = [];
    const config = await AutoConfig.from_pretrained('org/name', {
      revision: 'v2',
      progress_callback: ({ status }) => void heard.push(status),
    });
    expect(asked).toEqual(['https://huggingface.co/org/name/resolve/v2/config.json']);
    expect(heard).toContain('done');
    expect(config).toBeInstanceOf(PretrainedConfig);
    expect(config.hidden_size).toBe(32);
    expect(config.is_encoder_decoder).toBe(false);
  });

  test('a config that is given is taken, and nothing fetched', async () => {
    env.fetch = () => expect.unreachable('nothing is fetched');
    const config = await AutoConfig.from_pretrained('org/name', { config: { model_type: 'bert', vocab_size: 7 } });
    expect([config.model_type, config.vocab_size]).toEqual(['bert', 7]);
  });

  test('families that are not built have a config too, and a model of them none', async () => {
    const files = { 'config.json': new TextEncoder().encode('{"model_type": "wav2vec2"}') };
    expect((await AutoConfig.from_pretrained(files)).model_type).toBe('wav2vec2');
  });

  test('what is wrong is told: no file, no object, an option that is not built, an abort', async () => {
    await expect(AutoConfig.from_pretrained({ 'model.safetensors': new Uint8Array(8) })).rejects.toThrow(SourceError);
    const list = { 'config.json': new TextEncoder().encode('[1]') };
    await expect(AutoConfig.from_pretrained(list)).rejects.toThrow(/config\.json is malformed/);
    const misspelt = { cache_dir: '/somewhere' } as object;
    await expect(AutoConfig.from_pretrained(list, misspelt)).rejects.toThrow(UnsupportedError);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(AutoConfig.from_pretrained(list, { signal })).rejects.toThrow('enough');
    await expect(AutoConfig.from_pretrained(list, { signal: 'soon' as never })).rejects.toThrow(InputError);
  });

  test('a field of any name is a field, and nothing that a file says changes what a config is', () => {
    const config = new PretrainedConfig(JSON.parse('{"__proto__": {"isForeign": true}, "model_type": "bert"}'));
    expect(config).toBeInstanceOf(PretrainedConfig);
    expect(config.isForeign).toBeUndefined();
    expect(new PretrainedConfig({ model_type: 'toString' }).normalized_config).toEqual({
      model_type: 'toString',
      is_encoder_decoder: false,
    });
  });
});

describe('tokenizers', () => {
  test.each(answers.tokenizers)('$folder: get_vocab, add_bos_token', async ({ folder, size, sha256, ...flags }) => {
    const tokenizer = await AutoTokenizer.from_pretrained(fixtureFiles(folder));
    const vocab = tokenizer.get_vocab();
    expect(vocab.size).toBe(size);
    expect(
      createHash('sha256')
        .update(JSON.stringify([...vocab]))
        .digest('hex'),
    ).toBe(sha256);
    expect(tokenizer.add_bos_token).toBe(flags.add_bos_token);
    expect(tokenizer.add_eos_token).toBe(flags.add_eos_token);
  });
});

describe('rand and randn', () => {
  const moments = ({ data }: Tensor) => {
    const values = Array.from(data, Number);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    return { mean, variance: values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length };
  };

  test('shapes and types', () => {
    for (const draw of [rand, randn]) {
      const tensor = draw([2, 3]);
      expect(tensor).toBeInstanceOf(Tensor);
      expect([tensor.type, tensor.dims, tensor.size]).toEqual(['float32', [2, 3], 6]);
      expect(draw([]).size).toBe(1);
      expect(draw([0, 4]).dims).toEqual([0, 4]);
      expect(() => draw([-1])).toThrow(InputError);
    }
  });

  test('rand is uniform from 0, and never 1, whatever Math.random gives', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1 - 2 ** -53);
    expect(rand([1]).data[0]).toBeLessThan(1);
    expect(Number.isFinite(Number(randn([1]).data[0]))).toBe(true);
    vi.mocked(Math.random).mockReturnValue(0);
    expect(rand([1]).data[0]).toBe(0);
    expect(randn([1]).data[0]).toBeCloseTo(0, 6);
  });

  test('the mean and the variance of each', () => {
    // A generator of ours stands for Math.random, so that the answer is the same in every run.
    let state = 1;
    vi.spyOn(Math, 'random').mockImplementation(() => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    });
    const [uniform, normal] = [moments(rand([100, 100])), moments(randn([100, 100]))];
    expect(Math.abs(uniform.mean - 1 / 2)).toBeLessThan(0.01);
    expect(Math.abs(uniform.variance - 1 / 12)).toBeLessThan(0.005);
    expect(Math.abs(normal.mean)).toBeLessThan(0.04);
    expect(Math.abs(normal.variance - 1)).toBeLessThan(0.06);
  });
});

describe('LogLevel', () => {
  const refusing = {
    match: async () => undefined,
    put: async () => Promise.reject(new Error('full')),
  };
  const files: Record<string, string> = { 'config.json': '{"model_type": "bert"}' };
  const load = async (level: number) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const heard: string[] = [];
    Object.assign(env, {
      logLevel: level,
      useCustomCache: true,
      customCache: refusing,
      fetch: async (url: string) => new Response(files[url.split('/').at(-1)!]),
    });
    await AutoConfig.from_pretrained('org/name', { progress_callback: ({ status }) => void heard.push(status) });
    return { warnings: warn.mock.calls.length, isTold: heard.includes('uncached') };
  };

  test('has the numbers of transformers.js, and is WARNING at first', () => {
    expect(LogLevel).toEqual(answers.LogLevel);
    expect(Object.isFrozen(LogLevel)).toBe(true);
    expect(env.logLevel).toBe(LogLevel.WARNING);
  });

  test.each([LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING])(
    'at %i the one warning is on the console',
    async level => {
      expect(await load(level)).toEqual({ warnings: 1, isTold: true });
    },
  );

  test.each([LogLevel.ERROR, LogLevel.NONE])('at %i it is not; the event is told all the same', async level => {
    expect(await load(level)).toEqual({ warnings: 0, isTold: true });
  });
});
