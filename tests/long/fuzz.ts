/** Mutations of whole models by number: each gives a typed error or a right load, soon and in little memory. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebGPUBertError } from '../../src/errors.ts';
import type { HeadKind } from '../../src/model/head-kind.ts';
import { GPU, LLVMPIPE, SWIFTSHADER } from '../caps.ts';
import { random, withHeader } from '../checkpoint-bytes.ts';
import { layouts } from './layouts.ts';
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
  { caps: SWIFTSHADER, format: undefined },
  { caps: LLVMPIPE, format: 'i8' },
];

const FILES = ['model.safetensors', 'config.json', 'tokenizer.json', 'tokenizer_config.json'];

interface Model {
  readonly name: string;
  readonly head: HeadKind | undefined;
  readonly files: Files;
  /** What each file of JSON says, and the header of each file of tensors. */
  readonly maps: ReadonlyMap<string, JsonMap>;
  readonly expected: Map<number, string>;
}

const isWeights = (file: string): boolean => file.endsWith('.safetensors');
/** The length of the header of a file of tensors. */
const headerLength = ({ buffer, byteOffset }: Uint8Array): number =>
  Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
const bodyOf = (weights: Uint8Array): Uint8Array => weights.subarray(8 + headerLength(weights));

function modelOf(name: string, files: Files): Model {
  const decoder = new TextDecoder();
  const text = (file: string, bytes: Uint8Array) =>
    decoder.decode(isWeights(file) ? bytes.subarray(8, 8 + headerLength(bytes)) : bytes);
  const maps = new Map(
    Object.entries(files)
      .filter(([file]) => isWeights(file) || file.endsWith('.json'))
      .map(([file, bytes]) => [file, mapJson(text(file, bytes))]),
  );
  const [architecture] = JSON.parse(maps.get('config.json')!.text).architectures as string[];
  const head = /For([A-Z]\w+)$/.exec(architecture!)?.[1] as HeadKind | undefined;
  return { name, head, files, maps, expected: new Map() };
}

const readFiles = (folder: string, name: string): Files =>
  Object.fromEntries(FILES.map(file => [file, new Uint8Array(readFileSync(join(folder, name, file)))]));

/** @param folder the models, a folder each */
export function fuzzer(folder: string): (seed: number) => Promise<Outcome> {
  const names = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isDirectory());
  const models = names.map(({ name }) => modelOf(name, readFiles(folder, name)));
  /** The same models in other files. */
  const others = models.flatMap(({ name, files }) =>
    Object.entries(layouts(files)).map(([layout, files]) => modelOf(`${name}, ${layout}`, files)),
  );

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
    const kinds = Object.keys(model.files);
    // One file as a rule, so that what is behind it is reached; now and then several.
    const chosen = kinds.filter(() => dice(12) === 0);
    if (chosen.length === 0) chosen.push(kinds[dice(kinds.length)]!);
    for (const file of chosen) {
      const map = model.maps.get(file);
      const otherMap = other.maps.get(file) ?? map;
      if (dice(12) === 0 || !map || !otherMap) {
        const { bytes, what } = mutateBytes(dice, files[file]!, other.files[file] ?? files[file]!);
        put(file, bytes, what, false);
      } else if (isWeights(file)) {
        const { bytes, what, neutral } = mutateSafetensors(dice, map, bodyOf(files[file]!), otherMap);
        put(file, bytes, what, neutral);
      } else {
        const { text, what, neutral } = mutateJson(dice, map, otherMap);
        put(file, new TextEncoder().encode(text), what, neutral);
      }
    }
    return { files, what, neutral };
  }

  return async seed => {
    const next = random(seed);
    const dice: Dice = limit => Math.floor(next() * limit);
    const among = dice(3) === 0 ? others : models;
    const model = among[dice(among.length)]!;
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
  const { files, maps } = modelOf(name, readFiles(folder, name));
  const weights = 'model.safetensors';
  const texts = Object.fromEntries([...maps].map(([file, { text }]) => [file === weights ? 'header' : file, text]));
  const encoder = new TextEncoder();
  const entries = Object.entries(change(texts)).map(([file, text]): [string, Uint8Array] =>
    file === 'header'
      ? [weights, withHeader(String(text), bodyOf(files[weights]!))]
      : [file, encoder.encode(String(text))],
  );
  return { ...files, ...Object.fromEntries(entries) };
}
