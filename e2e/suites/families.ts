import { compareRow, type Expected, fixtures, loadAs, type Outputs } from '../fixtures.ts';
import { check, expect, expectEqual } from '../harness.ts';
import { addressOf, fetchJson, library } from '../library.ts';

/** Every fixture there is: ids, tokens and offsets of every text, and every output of the class that Python used. */

const { AutoTokenizer, UnsupportedError } = library;

for (const url of fixtures) {
  check(url, async log => {
    const [{ cases, cls }, tokenizer] = await Promise.all([
      fetchJson<Expected>(`${url}expected.json`),
      AutoTokenizer.from_pretrained(addressOf(url)),
    ]);
    for (const { text, text_pair, ...expected } of cases) {
      const options = { truncation: true, return_offsets_mapping: true, return_special_tokens_mask: true } as const;
      const row = tokenizer(text, { text_pair, ...options, return_tensor: false });
      const label = JSON.stringify(text.slice(0, 30));
      expectEqual(row.input_ids, expected.input_ids, `ids of ${label}`);
      // An unknown piece of a Unigram is shown as it is written, not as "<unk>", so ids alone do not tell the tokens.
      const { tokens } = tokenizer.text.encode(text, {
        pair: text_pair ?? undefined,
        maxLength: tokenizer.model_max_length,
      });
      expectEqual(tokens, expected.tokens, `tokens of ${label}`);
      expectEqual(row.offset_mapping, expected.offsets, `offsets of ${label}`);
      expectEqual(row.special_tokens_mask, expected.special, `special tokens of ${label}`);
    }
    const began = performance.now();
    const { model_type } = await fetchJson<{ model_type: string }>(`${url}config.json`);
    const model = await loadAs(cls, url).catch((error: Error) => error);
    if (model instanceof Error) {
      // A family that is not built is refused by its name; any other refusal is a failure.
      expect(model instanceof UnsupportedError && model.message.includes(model_type), `${model.stack}`);
      log(`refused: ${model.message.split('\n')[0]}`);
      return;
    }
    const loaded = performance.now();
    let worst = 0;
    // As users call it: padded batches from the tokenizer, single texts and pairs.
    for (const kind of ['texts', 'pairs'] as const) {
      const mine = cases.filter(({ text_pair }) => (text_pair === null) === (kind === 'texts'));
      const some = mine.filter(({ outputs }) => 'attentions' in outputs);
      for (const part of [some, mine.filter(one => !some.includes(one))].filter(({ length }) => length > 0)) {
        const pairs = part.map(({ text_pair }) => text_pair ?? '');
        const inputs = tokenizer(
          part.map(({ text }) => text),
          { text_pair: kind === 'pairs' ? pairs : null, truncation: true, padding: true },
        );
        const options = part === some ? { output_attentions: true, output_hidden_states: true } : {};
        const isChoice = cls.endsWith('MultipleChoice');
        const blocks = Object.fromEntries(
          Object.entries(inputs).map(([name, tensor]) => [name, tensor.view(part.length, 1, -1)]),
        ) as typeof inputs;
        const outputs = (await model(isChoice ? blocks : inputs, options)) as Outputs;
        part.forEach((one, b) => {
          worst = Math.max(worst, compareRow(outputs, b, one));
        });
      }
    }
    await model.dispose();
    const [load, run] = [loaded - began, performance.now() - loaded].map(ms => (ms / 1000).toFixed(1));
    log(`${cls}, ${cases.length} texts, largest difference ${worst.toExponential(1)}; loaded ${load} s, ran ${run} s`);
  });
}
