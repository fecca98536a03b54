import * as library from '../../src/index.ts';
import {
  type DataRecord,
  get_peft_model,
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
  Trainer,
  type TrainingArgumentsInit,
} from '../../src/train.ts';
import { filesOfFolder } from '../../src/training/checkpoint-folders.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { checkInPages, expect, expectEqual, expectSameBits, type Log } from '../harness.ts';
import { addressOf, fetchJson } from '../library.ts';
import { fewOf } from '../slow-compiler.ts';

/**
 * A training that goes on in another page, from the origin's private file system, to the same bits. One page trains twenty steps without a
 * checkpoint on the way; another is closed in the middle of the thirteenth, when its last checkpoint is that of the tenth; a third goes on
 * from there. The checkpoints of both after twenty steps have to be the same files: weights, optimizer state, where the training stands, and
 * all that was logged.
 */

library.env.useBrowserCache = false;

const ROOT = 'resumed-training';
const [STEPS, SAVED, CLOSED] = [20, 10, 13];

declare global {
  /** Whether a part of a case has run in this page. */
  var hasTrained: true | undefined;
}

/** A training of any kind. The arguments leave a log, an epoch and an accumulated step open where the checkpoint is written. */
type Kind = (args: TrainingArgumentsInit) => Promise<Trainer | SentenceTransformerTrainer>;

const argumentsOf = (folder: string, save_steps: number): TrainingArgumentsInit => ({
  max_steps: STEPS,
  save_steps,
  output_dir: `opfs:${ROOT}/${folder}`,
  logging_steps: 3,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 2,
  learning_rate: 1e-3,
  warmup_steps: 4,
  weight_decay: 0.01,
  dropout: 0.1,
  seed: 5,
});

async function sequenceModel() {
  const model = await library.AutoModelForSequenceClassification.from_pretrained(
    addressOf('/fixtures/random/bert-sequence/'),
  );
  const { data } = await fetchJson<TrainingFixture>('/fixtures/training/bert-sequence.json');
  const train_dataset: DataRecord[] = data.slice(0, 14).map(example => ({ ...example }));
  return { model, train_dataset };
}

const WORDS = 'the old river runs past small stone houses and under a bridge of wood to the sea where boats wait'.split(
  ' ',
);
const sentence = (i: number, length: number): string =>
  Array.from({ length }, (_, word) => WORDS[(i * 5 + word * 3) % WORDS.length]).join(' ');

const KINDS: Readonly<Record<string, Kind>> = {
  'a classifier': async args => new Trainer({ ...(await sequenceModel()), args }),
  // Words are masked anew in each epoch.
  'masked words': async args => {
    const from = addressOf('/fixtures/random/bert-masked-lm/');
    const model = await library.AutoModelForMaskedLM.from_pretrained(from);
    const processing_class = await library.AutoTokenizer.from_pretrained(from);
    const train_dataset = Array.from({ length: 14 }, (_, i) => ({ text: sentence(i, 6 + (i % 9)) }));
    return new Trainer({ model, processing_class, train_dataset, args });
  },
  adapters: async args => {
    const { model, train_dataset } = await sequenceModel();
    const adapted = await get_peft_model(model, { r: 4, lora_dropout: 0.1, task_type: 'SEQ_CLS' }, { seed: 3 });
    return new Trainer({ model: adapted, train_dataset, args });
  },
  'an embedder': async args => {
    const model = await library.pipeline('feature-extraction', addressOf('/fixtures/random/bert-base/'));
    const train_dataset = Array.from({ length: 14 }, (_, i) => ({
      anchor: sentence(i, 3),
      positive: sentence(i + 1, 8),
    }));
    const batches = { per_device_train_batch_size: 4, gradient_accumulation_steps: 1, batch_sampler: 'no_duplicates' };
    return new SentenceTransformerTrainer({
      model,
      loss: new MultipleNegativesRankingLoss(),
      train_dataset,
      args: { ...args, ...batches } as TrainingArgumentsInit,
    });
  },
};

/** The bytes of the files of a checkpoint. What a person reads of the arguments names the folder. */
async function bytesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const files = await filesOfFolder(`opfs:${ROOT}/${folder}/checkpoint-${STEPS}`);
  const compared = files.filter(({ name }) => name !== 'training_args.json');
  const entries = compared.map(async file => [file.name, new Uint8Array(await file.arrayBuffer())] as const);
  return Object.fromEntries((await Promise.all(entries)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const parsed = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes));

/** A part of a case, which may count on a page in which nothing has run. */
const inNewPage = (part: (log: Log) => Promise<void>) => async (log: Log) => {
  expect(!globalThis.hasTrained, 'this page has run a part before');
  globalThis.hasTrained = true;
  await part(log);
};

for (const [name, kind] of fewOf(Object.entries(KINDS))) {
  const [whole, parts] = [`${name}/whole`, `${name}/parts`];
  checkInPages(`${name}: twenty steps are ten, a checkpoint, and ten in another page`, [
    inNewPage(async () => {
      // A run that failed may have left something.
      const root = await navigator.storage.getDirectory();
      await root.removeEntry(ROOT, { recursive: true }).catch(() => undefined);
      const trainer = await kind(argumentsOf(whole, STEPS));
      await trainer.train();
    }),
    inNewPage(async () => {
      const trainer = await kind(argumentsOf(parts, SAVED));
      const reached = new Promise<void>(resolve => {
        const hold = async (step: number) => {
          if (step < CLOSED) return;
          resolve();
          // Until the page is closed.
          await new Promise(() => undefined);
        };
        trainer.add_callback({
          // A batch of several that make up a step leaves a step half done.
          on_substep_end: (_, { global_step }) => hold(global_step + 1),
          on_step_end: (_, { global_step }) => hold(global_step),
        });
      });
      await Promise.race([reached, trainer.train().then(() => expect(false, 'the training was not held'))]);
    }),
    inNewPage(async log => {
      const trainer = await kind(argumentsOf(parts, SAVED));
      let first: number | undefined;
      trainer.add_callback({
        on_step_begin: (_, { global_step }) => {
          first ??= global_step;
        },
      });
      const { global_step } = await trainer.train({ resume_from_checkpoint: true });
      expectEqual([first, global_step], [SAVED, STEPS], 'the steps of this page');
      const [mine, expected] = [await bytesOf(parts), await bytesOf(whole)];
      const { log_history } = parsed(expected['trainer_state.json']);
      expectEqual(
        log_history.map(({ step }: { step: number }) => step),
        [3, 6, 9, 12, 15, 18],
        'the steps that were logged',
      );
      expectSameBits(parsed(mine['trainer_state.json']).log_history, log_history, 'what was logged');
      expectEqual(Object.keys(mine), Object.keys(expected), 'the files');
      for (const [file, bytes] of Object.entries(expected)) {
        if (file === 'trainer_state.json') continue;
        expectEqual(mine[file], bytes, file);
      }
      const [state, wanted] = [mine, expected].map(files => ({
        ...parsed(files['trainer_state.json']),
        save_steps: 0,
      }));
      expectEqual(state, wanted, 'the state');
      const weights = Object.keys(expected).filter(file => file.endsWith('.safetensors'));
      log(weights.map(file => `${file}: ${expected[file]!.length} bytes`).join(', '));
      expectEqual(weights.length, 2, 'files of weights and of optimizer state');
      const root = await navigator.storage.getDirectory();
      await root.removeEntry(ROOT, { recursive: true });
    }),
  ]);
}
