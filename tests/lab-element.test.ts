import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AttentionModel } from '../examples/lab/attention/model-source.ts';

/** <bert-attention> of other pages: which loads it waits for. What it draws is looked at in browsers. */

interface Load {
  readonly name: string;
  readonly signal: AbortSignal;
  finish(model: AttentionModel): void;
  fail(error: Error): void;
}
const loads: Load[] = [];
const failures: unknown[] = [];

vi.mock('webgpu-bert', () => ({
  AutoModel: {},
  AutoModelForMaskedLM: {},
  AutoTokenizer: {},
  CheckpointError: Error,
  UnsupportedError: Error,
}));
vi.mock('../examples/lab/attention/element.ts', () => ({
  BertAttention: class extends EventTarget {
    readonly attributes = new Map<string, string>();
    isConnected = false;
    getAttribute = (name: string) => this.attributes.get(name) ?? null;
    hasAttribute = (name: string) => this.attributes.has(name);
    connectedCallback() {}
    disconnectedCallback() {}
    fail = (error: unknown) => failures.push(error);
  },
}));
vi.mock('../examples/lab/attention/model-source.ts', () => ({
  loadAttentionModel: (_: unknown, name: string, { signal }: { signal: AbortSignal }) =>
    new Promise((finish, fail) => loads.push({ name, signal, finish, fail })),
}));

/** As a browser calls it. */
interface FakeElement {
  readonly attributes: Map<string, string>;
  isConnected: boolean;
  connectedCallback(): void;
  disconnectedCallback(): void;
  attributeChangedCallback(name: string): void;
}

const loadsAre = (count: number) => vi.waitFor(() => expect(loads).toHaveLength(count));

let element: FakeElement;
beforeEach(async () => {
  loads.length = failures.length = 0;
  const { AutoBertAttention } = await import('../examples/lab/attention/auto-element.ts');
  element = new AutoBertAttention() as unknown as FakeElement;
  element.attributes.set('model', 'first');
  element.isConnected = true;
  element.connectedCallback();
  await loadsAre(1);
});
afterEach(() => element.disconnectedCallback());

test('the load of a model that is no longer wanted is ended, and its failure is not told', async () => {
  element.attributes.set('model', 'second');
  element.attributeChangedCallback('model');
  await loadsAre(2);
  expect(loads.map(({ name, signal }) => [name, signal.aborted])).toEqual([
    ['first', true],
    ['second', false],
  ]);
  loads[0]!.fail(new Error('the first'));
  const wrong = new Error('the second');
  loads[1]!.fail(wrong);
  await vi.waitFor(() => expect(failures).toContain(wrong));
  expect(failures).toEqual([wrong]);
});

test('an element that is removed ends its load, and gives back a model that comes nevertheless', async () => {
  element.disconnectedCallback();
  expect(loads[0]!.signal.aborted).toBe(true);
  const dispose = vi.fn(async () => {});
  loads[0]!.finish({ dispose } as unknown as AttentionModel);
  await vi.waitFor(() => expect(dispose).toHaveBeenCalledOnce());
});
