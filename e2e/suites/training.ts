import { PreTrainedModel } from '../../src/api/model.ts';
import type { ModelSource } from '../../src/checkpoint/source/index.ts';
import { NO_DROPOUT } from '../../src/gradients/index.ts';
import * as library from '../../src/index.ts';
import { labelledSequence, taskGraph, taskOf } from '../../src/training/task.ts';
import { streamedFile } from '../../tests/checkpoint-bytes.ts';
import { loadCheckpoint } from '../../tests/checkpoint-tensors.ts';
import { digestOfNormals, NORMALS } from '../../tests/normal-digest.ts';
import { classOf } from '../../tests/trained-model.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { sharedDevice } from '../fixtures.ts';
import { check, expect, expectEqual } from '../harness.ts';
import { addressOf, fetchJson } from '../library.ts';
import { checkSteps, far } from '../training-steps.ts';

/**
 * Whole training runs on this device against torch's in float64 (tests/fixtures/training), and every gradient of the first step against the
 * interpreter's, which are torch's to nine digits (tests/training-fixtures.test.ts).
 */

/** Of a logit after 20 steps. */
const LOGITS = 2e-3;

const RUNS: Readonly<Record<string, string>> = {
  'albert-sequence': 'training/models/albert-sequence',
  'bert-masked-lm': 'random/bert-masked-lm',
  'bert-multilabel': 'random/bert-multilabel',
  'bert-pretraining': 'random/bert-pretraining',
  'bert-qa': 'random/bert-qa',
  'bert-regression': 'random/bert-rerank',
  'bert-sequence': 'random/bert-sequence',
  'bert-token': 'random/bert-token',
  'deberta-qa': 'training/models/deberta-qa',
  'deberta-sequence': 'training/models/deberta-sequence',
  'deberta-token': 'training/models/deberta-token',
  'deberta-v2-masked-lm': 'training/models/deberta-v2-masked-lm',
  'deberta-v2-qa': 'training/models/deberta-v2-qa',
  'deberta-v2-sequence': 'training/models/deberta-v2-sequence',
  'deberta-v2-token': 'training/models/deberta-v2-token',
  'distilbert-sequence': 'random/distilbert-sequence',
  'electra-token': 'training/models/electra-token',
  'mpnet-sequence': 'random/mpnet-sequence',
  'roberta-token': 'random/roberta-token',
  'xlm-roberta-masked-lm': 'training/models/xlm-roberta-masked-lm',
};

library.env.useBrowserCache = false;

/** The files of a folder of the tests' server. */
const sourceOf = (address: string): ModelSource => ({
  name: address,
  async open(file) {
    const response = await fetch(address + file);
    if (!response.ok) return undefined as never;
    const bytes = await response.blob();
    return streamedFile(bytes.stream() as ReadableStream<Uint8Array<ArrayBuffer>>, bytes.size);
  },
  async json(file) {
    const response = await fetch(address + file);
    return response.ok ? response.json() : undefined;
  },
});

/** Of a question the logits of a row may all move by one number: the gradient of a bias that shifts them is 0 but for rounding. */
const centred = (numbers: readonly number[]): number[] => {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return numbers.map(v => v - mean);
};

for (const [name, folder] of Object.entries(RUNS)) {
  check(`${name}: losses, gradients and logits are torch's`, async log => {
    const fixture = await fetchJson<TrainingFixture>(`/fixtures/training/${name}.json`);
    const address = addressOf(`/fixtures/${folder}/`);
    const { args, data, probe, head } = fixture;
    const model = await classOf(library, head).from_pretrained(address, { device: await sharedDevice() });
    const engine = PreTrainedModel.engineOf(model);
    const task = taskOf(engine.config, engine.head, probe);
    const graph = taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT });
    const micro = Number(args.per_device_train_batch_size);
    const parts = Number(args.gradient_accumulation_steps);
    const sequences = data.map(example => labelledSequence(task, example));
    const { tensors } = await loadCheckpoint(sourceOf(address));
    const { session, words } = await checkSteps({
      backend: await engine.backendForTraining(),
      graph,
      tensors,
      fixture,
      batchesOf: step =>
        Array.from({ length: parts }, (_, part) =>
          Array.from({ length: micro }, (_, i) => sequences[((step * parts + part) * micro + i) % sequences.length]!),
        ),
    });
    const long = (list: readonly number[]) =>
      new library.Tensor('int64', BigInt64Array.from(list, BigInt), [1, list.length]);
    const outputs = (await model({
      input_ids: long(probe.input_ids),
      ...(probe.token_type_ids && { token_type_ids: long(probe.token_type_ids) }),
    })) as unknown as Record<string, library.Tensor>;
    let worstLogit = 0;
    for (const [output, expected] of Object.entries(fixture.after)) {
      const actual = [...(outputs[output]!.data as Float32Array)].slice(0, expected.length);
      const difference = name.endsWith('qa') ? far(centred(actual), centred(expected)) : far(actual, expected);
      worstLogit = Math.max(worstLogit, difference);
      expect(difference <= LOGITS, `${output} after the run is off by ${difference}`);
    }
    log(`${words}, logits after ${worstLogit.toExponential(1)}`);
    session.destroy();
    await model.dispose();
  });
}

check('new weights are the same bits in every engine', () => {
  expectEqual(digestOfNormals(42, 'classifier.weight'), NORMALS, 'the digest of 100,000 normal numbers');
});
