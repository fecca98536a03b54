import { type Kernel, WHOLE_GRID } from '../../shaders/kernel.ts';
import { merge } from '../../shaders/merge.ts';
import { floatsToHalves, halvesToFloats } from '../../src/halves.ts';
import * as library from '../../src/index.ts';
import { type DataRecord, get_peft_model, PeftModel, Trainer, type TrainingArgumentsInit } from '../../src/train.ts';
import { far, fileOf, floatTensors, LORA_RECORDS, LORA_RUNS, type LoraRun, loraModel } from '../../tests/lora-run.ts';
import { classOf, logged, logitsOf, type SequenceModel } from '../../tests/trained-model.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { dispatch, random, testGpu } from '../dispatch.ts';
import { liveBytes, takeCounts, takeScopes } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { addressOf, fetchJson, ownDevice } from '../library.ts';
import { fewOf } from '../slow-compiler.ts';

/** LoRA on this device: whole runs against PEFT's in float64 (tests/fixtures/lora), frozen weights as fp16, memory, merged weights. */

library.env.useBrowserCache = false;

/** Of a loss of 1 to 15 in float32: as in the suite `training`. */
const LOSS = 1e-4;
/** Of a number of an adapter after five steps of Adam, 2e-3 each at most. */
const ADAPTER = 1e-4;
/** Of a logit after the run. */
const LOGITS = 1e-3;

async function modelOf(name: string, head: string, options: library.PretrainedOptions = {}) {
  const device = await ownDevice();
  const address = addressOf(`/fixtures/${loraModel(name)}/`);
  const base = await classOf(library, head).from_pretrained(address, {
    device,
    ...options,
  });
  const { data } = await fetchJson<TrainingFixture>(`/fixtures/training/${name}.json`);
  const records: DataRecord[] = data.slice(0, LORA_RECORDS).map(example => ({ ...example }));
  const end = async () => {
    await base.dispose();
    device.destroy();
  };
  return { device, base, records, end };
}

const runOf = (name: string) => fetchJson<LoraRun>(`/fixtures/lora/${name}/run.json`);
const loaded = (base: SequenceModel, name: string) =>
  PeftModel.from_pretrained(base, addressOf(`/fixtures/lora/${name}/`), { is_trainable: true });

check('the kernel that merges, against float64', async log => {
  const { gpu } = await testGpu();
  let worst = 0;
  for (const [N, K, r] of [
    [3, 36, 1],
    [8, 4, 5],
    [100, 388, 8],
  ] as const) {
    const [R, rows] = [4 * Math.ceil(r / 4), 4 * Math.ceil(N / 4)];
    const [base, b, a] = [random(1)(rows * K), random(2)(rows * R), random(3)(R * K)];
    for (const target of [
      { texture: undefined, f16: false },
      { texture: 'sampled', f16: false },
    ] as const) {
      for (const adds of [false, true]) {
        const kernel = merge({ base: adds ? undefined : 'f32', adapter: true }, target);
        const params = { count: (rows * K) / 4, k4: K / 4, rank4: R / 4, factor: 0.75, ...WHOLE_GRID };
        const operands: Record<string, Float32Array<ArrayBuffer> | { floats: number }> = adds
          ? { b, a, y: base.slice() }
          : { base, b, a, y: { floats: rows * K } };
        const { y } = await dispatch(kernel, operands, params);
        // The same, one workgroup after the other.
        const [across, down] = kernel.workgroups(params);
        let inParts: typeof operands = operands;
        for (let first_y = 0; first_y < down; first_y++) {
          for (let first_x = 0; first_x < across; first_x++) {
            const part: Kernel = { ...kernel, workgroups: () => [1, 1, 1] };
            const written = await dispatch(part, inParts, { ...params, first_x, first_y });
            inParts = { ...operands, y: written.y! };
          }
        }
        expectEqual(inParts.y, y, `${N}x${K} in parts`);
        const expected = Array.from(base, (number, i) => {
          const [n, k] = [Math.floor(i / K), i % K];
          let sum = 0;
          for (let c = 0; c < R; c++) sum += b[n * R + c]! * a[c * K + k]!;
          return number + 0.75 * sum;
        });
        worst = Math.max(worst, expectClose(y!, expected, { label: `${N}x${K}, rank ${r}`, absolute: 1e-5 }));
      }
    }
  }
  log(`${gpu.adapterName}: largest difference ${worst.toExponential(1)}`);
});

for (const name of fewOf(LORA_RUNS, 2)) {
  check(`${name}: losses, adapters and logits are PEFT's`, async log => {
    const { head, args, losses, grad_norms, logits } = await runOf(name);
    const { base, records, end } = await modelOf(name, head);
    const model = await loaded(base, name);
    const trainer = new Trainer({ model, train_dataset: records, args: { ...args, logging_steps: 1 } });
    const seen: string[] = [(await logitsOf(base, records[0]!)).join()];
    trainer.add_callback({ on_step_end: async () => void seen.push((await logitsOf(base, records[0]!)).join()) });
    await trainer.train();
    // The first step has a learning rate of 0.
    expectEqual(new Set(seen).size, seen.length - 1, 'how many different answers the steps gave');
    const loss = far(logged(trainer, 'loss'), losses);
    const norms = logged(trainer, 'grad_norm');
    const norm = far(norms, grad_norms) / Math.max(...grad_norms);
    const after = (await logitsOf(base, records[0]!)).slice(0, logits.length);
    const [file, expected] = await Promise.all([
      model.save_pretrained().then(files => fileOf(files, 'adapter_model.safetensors')),
      fetch(addressOf(`/fixtures/lora/${name}/after.safetensors`)).then(
        async r => new Uint8Array(await r.arrayBuffer()),
      ),
    ]);
    const wanted = floatTensors(expected);
    let worst = 0;
    for (const [key, { data, shape }] of floatTensors(file)) {
      expectEqual([key, shape], [key, wanted.get(key)!.shape], 'the shape');
      // Of key biases the gradient is 0 in theory, and Adam divides what it rounds to by its size.
      if (!/key\.base_layer\.bias/.test(key)) worst = Math.max(worst, far(data, wanted.get(key)!.data));
    }
    log(
      `loss ${loss.toExponential(1)}, norm ${norm.toExponential(1)}, adapter ${worst.toExponential(1)}, logits ${far(after, logits).toExponential(1)}`,
    );
    expect(loss <= LOSS, `a loss is off by ${loss}`);
    expect(norm <= 1e-4, `a norm is off by ${norm}`);
    expect(worst <= ADAPTER, `a number of the adapter is off by ${worst}`);
    expect(far(after, logits) <= LOGITS, `the logits are off by ${far(after, logits)}`);
    await end();
  });
}

check('the frozen weights may be fp16, and what is trained is float32', async log => {
  const name = 'bert-sequence';
  const { head, args, losses, logits } = await runOf(name);
  const { base, records, end } = await modelOf(name, head, { dtype: 'fp16' });
  const model = await loaded(base, name);
  const trainer = new Trainer({ model, train_dataset: records, args: { ...args, logging_steps: 1 } });
  await trainer.train();
  const loss = far(logged(trainer, 'loss'), losses);
  const after = far(await logitsOf(base, records[0]!), logits);
  const saved = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
  const classifier = saved.get('base_model.model.classifier.weight')!.data;
  const isRounded = far(halvesToFloats(floatsToHalves(classifier)), classifier) === 0;
  log(`loss ${loss.toExponential(1)}, logits ${after.toExponential(1)}`);
  // Weights of 11 bits: 5e-4 of each, and logits of about 1.
  expect(loss < 5e-3 && after < 1e-2, `the loss is off by ${loss}, the logits are by ${after}`);
  expect(!isRounded, 'the classifier was trained as fp16');
  await end();
});

const STEPS: TrainingArgumentsInit = {
  learning_rate: 1e-3,
  max_steps: 40,
  logging_steps: 20,
  per_device_train_batch_size: 4,
  dropout: 0.1,
};

check('holds what it says it will, with gradients and moments of adapters alone; and gives it back', async log => {
  const { base, records, device, end } = await modelOf('bert-sequence', 'BertForSequenceClassification');
  const { weights } = await base.bytes();
  const bare = liveBytes(device);
  const config = { r: 8, lora_dropout: 0.1, task_type: 'SEQ_CLS' } as const;
  takeScopes();
  const model = await get_peft_model(base, config);
  const trainer = new Trainer({ model, train_dataset: records, args: STEPS });
  const before = liveBytes(device);
  const memory = (await trainer.memory())!;
  expectEqual(liveBytes(device), before, 'bytes held when it has only said what it will hold');
  // Rank 8, no padding: the matrices of the adapters, each joined with the rows of the other parts of q, k and v; and the classifier's.
  const adapters = 4 * (2 * 2 * (8 * 48 + 3 * 48 * 8) + 4 * 48 + 4);
  expectEqual(memory.gradients, adapters, 'bytes of gradients');
  expectEqual(memory.moments, 2 * adapters, 'bytes of moments');
  const bytes: number[] = [];
  trainer.add_callback({
    on_step_end(_, { global_step }) {
      if (global_step === 10) takeCounts();
      if (global_step >= 10) bytes.push(liveBytes(device));
    },
  });
  await trainer.train();
  const { createBuffer, createTexture, createBindGroup } = takeCounts();
  expectEqual(
    { createBuffer, createTexture, createBindGroup },
    { createBuffer: 0, createTexture: 0, createBindGroup: 0 },
    'made in the last thirty steps',
  );
  const { unscoped, acrossAwait } = takeScopes();
  expectEqual({ unscoped, acrossAwait }, { unscoped: [], acrossAwait: 0 }, 'calls outside of error scopes');
  const { activations } = await base.bytes();
  const held = bytes[0]! - activations;
  log(`${held} bytes held, ${memory.total} said; ${memory.gradients + memory.moments} of gradients and moments`);
  expect(Math.abs(memory.total / held - 1) < 0.01, `${held} bytes are held, ${memory.total} were said`);
  const merged = await logitsOf(base, records[0]!);
  const same = await model.merge_and_unload();
  expect(same === base, 'merge_and_unload gives another model');
  expectEqual(await logitsOf(base, records[0]!), merged, 'the logits after merging');
  expectEqual((await base.bytes()).weights, weights, 'bytes of weights when the adapters are merged');
  expect(liveBytes(device) < bare + 1e5, `${liveBytes(device)} bytes are left, ${bare} were there before`);
  await end();
});

check('the same seed gives the same bits, dropout included', async () => {
  const run = async (seed: number) => {
    const { base, records, end } = await modelOf('bert-sequence', 'BertForSequenceClassification');
    const config = { target_modules: 'all-linear', lora_dropout: 0.2, task_type: 'SEQ_CLS' } as const;
    const model = await get_peft_model(base, config, { seed });
    const args = { ...STEPS, max_steps: 4, logging_steps: 1 };
    const trainer = new Trainer({ model, train_dataset: records, args });
    await trainer.train();
    const bits = JSON.stringify([logged(trainer, 'loss'), await logitsOf(base, records[0]!)]);
    await end();
    return bits;
  };
  const [first, second, other] = [await run(1), await run(1), await run(2)];
  expectEqual(second, first, 'the second run');
  expect(other !== first, 'another seed made no difference');
});
