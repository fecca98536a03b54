/** Mutations of whole models by number: each gives a typed error or a right load, soon and in little memory. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Caps } from '../../shaders/kernel.ts';
import { WebGPUBertError } from '../../src/errors.ts';
import type { HeadKind } from '../../src/model/heads.ts';
import { GPU } from '../caps.ts';
import { random, withHeader } from '../checkpoint-bytes.ts';
import { type Files, load, type Way } from './load.ts';
import { type Dice, type JsonMap, mapJson, mutateBytes, mutateJson, mutateSafetensors } from './mutation.ts';

export interface Outcome {
  readonly seed: number;
  readonly model: string;
  /** What was changed. */
  readonly what: readonly string[];
  /** The class of the typed error, 'loaded', or why this is a fault. */
  readonly result: string;
  readonly failed: boolean;
  readonly message: string;
  readonly ms: number;
  /** By how much the process's peak of memory grew, or what it held in buffers after. */
  readonly bytes: number;
}

/** Processor time. A mutant of 300 kB takes a few milliseconds. */
const MOST_MS = 1000;
/** The largest mutant is some 2 MB of JSON, whose objects and tokens take up to a hundred times that before they are collected. */
const MOST_BYTES = 256 << 20;

const WAYS: readonly Pick<Way, 'caps' | 'format'>[] = [
  { caps: GPU, format: undefined },
  { caps: GPU, format: 'i8' },
  { caps: { ...GPU, f16: true, subgroup: 32, dot4I8: true, maxInvocations: 128 }, format: 'f16' },
  { caps: { ...GPU, adapter: 'swiftshader', textures: 'sampled' } satisfies Caps, format: undefined },
  { caps: { ...GPU, adapter: 'llvmpipe', textures: 'storage' } satisfies Caps, format: 'i8' },
];

const JSON_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json'] as const;

interface Model {
  readonly name: string;
  readonly head: HeadKind | undefined;
  readonly files: Files;
  readonly maps: Readonly<Record<(typeof JSON_FILES)[number], JsonMap>>;
  readonly header: JsonMap;
  readonly body: Uint8Array;
  readonly expected: Map<number, string>;
}

function readModel(folder: string, name: string): Model {
  const read = (file: string) => readFileSync(join(folder, name, file));
  const [config, tokenizer, tokenizerConfig] = JSON_FILES.map(file => mapJson(read(file).toString()));
  const weights = read('model.safetensors');
  const length = Number(weights.readBigUInt64LE(0));
  const [architecture] = JSON.parse(config!.text).architectures as string[];
  const head = /For(\w+)$/.exec(architecture!)?.[1] as HeadKind | undefined;
  return {
    name,
    head,
    files: Object.fromEntries([...JSON_FILES, 'model.safetensors'].map(file => [file, new Uint8Array(read(file))])),
    maps: { 'config.json': config!, 'tokenizer.json': tokenizer!, 'tokenizer_config.json': tokenizerConfig! },
    header: mapJson(weights.toString('utf8', 8, 8 + length)),
    body: new Uint8Array(weights.subarray(8 + length)),
    expected: new Map(),
  };
}

/** @param folder the models, a folder each */
export function fuzzer(folder: string): (seed: number) => Promise<Outcome> {
  const names = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isDirectory());
  const models = names.map(({ name }) => readModel(folder, name));

  /** The files of a mutant, what was changed, and whether it says the same as the model that it was made of. */
  function mutant(dice: Dice, model: Model): { files: Files; what: string[]; neutral: boolean } {
    const other = models[dice(models.length)]!;
    let files = model.files;
    const what: string[] = [];
    let neutral = true;
    const put = (file: string, bytes: Uint8Array, how: readonly string[], same: boolean) => {
      files = { ...files, [file]: bytes };
      neutral &&= same;
      for (const each of how) what.push(`${file}: ${each}`);
    };
    const kinds = ['model.safetensors', ...JSON_FILES];
    // One file as a rule, so that what is behind it is reached; now and then several.
    const chosen = kinds.filter(() => dice(12) === 0);
    if (chosen.length === 0) chosen.push(kinds[dice(kinds.length)]!);
    for (const file of chosen) {
      if (dice(12) === 0) {
        const { bytes, what } = mutateBytes(dice, files[file]!, other.files[file]!);
        put(file, bytes, what, false);
      } else if (file === 'model.safetensors') {
        const { bytes, what, neutral } = mutateSafetensors(dice, model.header, model.body, other.header);
        put(file, bytes, what, neutral);
      } else {
        const name = file as (typeof JSON_FILES)[number];
        const { text, what, neutral } = mutateJson(dice, model.maps[name], other.maps[name]);
        put(file, new TextEncoder().encode(text), what, neutral);
      }
    }
    return { files, what, neutral };
  }

  return async seed => {
    const next = random(seed);
    const dice: Dice = limit => Math.floor(next() * limit);
    const model = models[dice(models.length)]!;
    const wayNumber = dice(WAYS.length);
    const way = { ...WAYS[wayNumber]!, head: model.head };
    if (!model.expected.has(wayNumber)) model.expected.set(wayNumber, await load(model.files, way));
    const { files, what, neutral } = mutant(dice, model);

    const peak = process.resourceUsage().maxRSS;
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    let [result, failed, message] = ['loaded', false, ''];
    const fail = (why: string, how: string) => {
      [result, failed, message] = [why, true, how];
    };
    try {
      const loaded = await load(files, way);
      if (neutral && loaded !== model.expected.get(wayNumber)) {
        const lines = model.expected.get(wayNumber)!.split('\n');
        const at = loaded.split('\n').findIndex((line, i) => line !== lines[i]);
        fail('another load', `${lines[at]}\n  is now\n${loaded.split('\n')[at]}`);
      }
    } catch (error) {
      if (!(error instanceof WebGPUBertError))
        fail('untyped', error instanceof Error ? `${error.stack}` : String(error));
      else if (neutral) fail('refused', error.message);
      else [result, message] = [error.name, error.message];
    }
    const { user, system } = process.cpuUsage(cpu);
    const ms = Math.min(performance.now() - began, (user + system) / 1000);
    const grown = 1024 * (process.resourceUsage().maxRSS - peak);
    const bytes = Math.max(grown, process.memoryUsage().arrayBuffers);
    if (!failed && ms > MOST_MS) fail('slow', `${Math.round(ms)} ms`);
    if (!failed && bytes > MOST_BYTES) fail('memory', `${bytes} bytes`);
    if (!failed && message.length > 2000)
      fail('message', `an error of ${message.length} characters: ${message.slice(0, 200)}`);
    return { seed, model: model.name, what, result, failed, message, ms, bytes };
  };
}

/** The files of a model whose JSON is changed, for cases that no dice finds. `header` is that of model.safetensors. */
export function changed(folder: string, name: string, change: (texts: Record<string, string>) => object): Files {
  const { files, maps, header, body } = readModel(folder, name);
  const texts = { ...Object.fromEntries(JSON_FILES.map(file => [file, maps[file].text])), header: header.text };
  const encoder = new TextEncoder();
  const entries = Object.entries(change(texts)).map(([file, text]): [string, Uint8Array] =>
    file === 'header' ? ['model.safetensors', withHeader(String(text), body)] : [file, encoder.encode(String(text))],
  );
  return { ...files, ...Object.fromEntries(entries) };
}
