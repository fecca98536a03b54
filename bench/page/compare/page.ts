import { type Library, open, type Side } from '../sides.ts';
import { callsFor } from './calls.ts';
import { cards } from './cards.ts';
import { difference } from './difference.ts';
import { type Answer, type Call, openSession, type Session } from './session.ts';

/** Both compute in float32, in another order. */
const TOLERANCE = 1e-5;

export interface ComparedCall {
  call: string;
  dims: string;
  /** The largest difference of numbers; null where the two differ in more than numbers. */
  most: number | null;
  outcome: 'same' | 'different' | 'by design';
  note: string;
}

const dimsOf = (answer: Answer) => (answer.dims ? `[${answer.dims.join(', ')}]` : '');

async function compareCall(call: Call, ours: Session, theirs: Session): Promise<ComparedCall> {
  const [a, b] = [await attempt(call, ours), await attempt(call, theirs)];
  const dims = dimsOf(a) === dimsOf(b) ? dimsOf(a) : `${dimsOf(a) || 'none'} and ${dimsOf(b) || 'none'}`;
  const { most, kind } = difference(a.value, b.value);
  const isSame = kind === undefined && most <= TOLERANCE && dimsOf(a) === dimsOf(b);
  // A call of ours that throws is never as designed.
  const isMeant = call.byDesign !== undefined && dimsOf(a) === dimsOf(b) && !hasThrown(a);
  const outcome = isSame ? 'same' : isMeant ? 'by design' : 'different';
  const note = isSame ? '' : [outcome === 'by design' ? call.byDesign : kind].filter(Boolean).join('; ');
  return { call: call.name, dims, most: kind === undefined ? most : null, outcome, note };
}

const hasThrown = ({ value }: Answer): boolean => typeof value === 'object' && value !== null && 'thrown' in value;

/** A call that throws differs, unless both do. */
async function attempt(call: Call, session: Session): Promise<Answer> {
  try {
    return await call.run(session);
  } catch (error) {
    return { value: { thrown: String(error).slice(0, 200) } };
  }
}

function show({ call, dims, most, outcome, note }: ComparedCall): void {
  const row = document.createElement('tr');
  const cell = (text: string, className = '') => {
    const made = row.insertCell();
    made.className = className;
    made.textContent = text;
    return made;
  };
  const code = document.createElement('code');
  code.textContent = call;
  cell('').append(code);
  cell(dims);
  cell(most === null ? 'shape' : most === 0 ? '0' : most.toExponential(1), 'number');
  const last = cell(outcome, outcome.replace(' ', '-'));
  if (note) {
    const small = document.createElement('small');
    small.textContent = note;
    last.append(small);
  }
  document.querySelector('#rows')!.append(row);
}

/** Runs calls through both, shows and returns what came of them. */
async function compare(calls: readonly Call[], peerSide: Side): Promise<ComparedCall[]> {
  const about = document.querySelector('#about')!;
  const [ours, theirs]: [Library, Library] = [await open('ours'), await open(peerSide)];
  for (const { env } of [ours, theirs]) env.localModelPath = '/models/';
  const device = peerSide === 'transformers.js wasm' ? 'wasm' : 'webgpu';
  const mine = openSession(ours, 'webgpu');
  const peer = openSession(theirs, device);
  const results: ComparedCall[] = [];
  for (const call of calls) {
    const result = await compareCall(call, mine, peer);
    results.push(result);
    show(result);
  }
  const count = (outcome: ComparedCall['outcome']) => results.filter(result => result.outcome === outcome).length;
  about.textContent =
    `${results.length} calls through ${peerSide} and through webgpu-bert, models in fp32: ${count('same')} same to ${TOLERANCE}, ` +
    `${count('by design')} different by design, ${count('different')} different.`;
  return results;
}

/** Every call; `models` are fixtures with tokenizers, by name. */
const compareLibraries = (models: readonly string[], peer: Side) => compare([...callsFor(models), ...cards], peer);
/** The calls of model cards alone, on models that lie in this checkout. */
const compareCards = (peer: Side) => compare(cards, peer);

declare global {
  var libraries: { compareLibraries: typeof compareLibraries; compareCards: typeof compareCards } | undefined;
}
globalThis.libraries = { compareLibraries, compareCards };
