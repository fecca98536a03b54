import { describe, expect, it } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { countItems, NO_DROPOUT } from '../src/gradients/index.ts';
import { readConfig } from '../src/model/index.ts';
import { CoSENTLoss, CosineSimilarityLoss, MatryoshkaLoss, MultipleNegativesRankingLoss } from '../src/train.ts';
import type { EmbedderLoss } from '../src/training/embedder-losses.ts';
import { embedderGraph, embedderSequences, embedderTask } from '../src/training/embedder-task.ts';
import { drawnConfig } from './drawn-configs.ts';

const config = readConfig({ ...drawnConfig('bert', 1), hidden_size: 12, num_attention_heads: 2 });
const pool = { pooling: 'mean', normalize: false } as const;
const taskOf = (loss: EmbedderLoss, texts = 2) => embedderTask({ config, pool, loss, texts });
const text = (...ids: number[]) => ({ input_ids: ids });

describe('a loss of embedders', () => {
  it('has the defaults of sentence-transformers', () => {
    expect(new MultipleNegativesRankingLoss()).toMatchObject({ scale: 20, similarity_fct: 'cos_sim' });
    expect(new CoSENTLoss()).toMatchObject({ scale: 20 });
    expect(new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [4, 8] })).toMatchObject({
      matryoshka_dims: [8, 4],
      matryoshka_weights: [1, 1],
    });
  });

  it.each([
    ['a scale of 0', () => new MultipleNegativesRankingLoss({ scale: 0 })],
    ['a scale that is no number', () => new CoSENTLoss({ scale: Number.NaN })],
    ['an unknown option', () => new CoSENTLoss({ margin: 1 } as object)],
    ['an option of a loss without any', () => new CosineSimilarityLoss({ scale: 1 } as never)],
    ['no dimensions', () => new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [] })],
    ['a dimension twice', () => new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [4, 4] })],
    ['half a dimension', () => new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [4.5] })],
    [
      'weights for other dimensions',
      () => new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [4, 8], matryoshka_weights: [1] }),
    ],
    [
      'more columns than there are',
      () => taskOf(new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [13] })),
    ],
    ['an anchor alone', () => taskOf(new MultipleNegativesRankingLoss(), 1)],
    ['three texts to compare', () => taskOf(new CosineSimilarityLoss(), 3)],
  ])('is refused with %s', (_, make) => {
    expect(make).toThrow(InputError);
  });

  it('is refused where it is none', () => {
    expect(() => new MatryoshkaLoss({ loss: 'CoSENTLoss' as never, matryoshka_dims: [4] })).toThrow(UnsupportedError);
    expect(() => new MultipleNegativesRankingLoss({ similarity_fct: 'euclid' as never })).toThrow(UnsupportedError);
    expect(() => taskOf({ scale: 20 } as never)).toThrow(UnsupportedError);
  });
});

describe('records of an embedder', () => {
  it('stand column by column, with their labels at the first', () => {
    const examples = [
      { texts: [text(5, 3), text(6, 3), text(7, 3)] },
      { texts: [text(8, 3), text(9, 3), text(10, 3)], label: 7 },
    ];
    const list = embedderSequences(taskOf(new MultipleNegativesRankingLoss(), 3), examples);
    expect(list.map(({ ids }) => ids[0])).toEqual([5, 8, 6, 9, 7, 10]);
    expect(list.map(({ labels }) => labels)).toEqual([[0], [1], undefined, undefined, undefined, undefined]);
    const pairs = examples.map(({ texts }, i) => ({ texts: texts.slice(0, 2), label: i / 2 }));
    const labelled = embedderSequences(taskOf(new CosineSimilarityLoss()), pairs);
    expect(labelled.map(({ labels }) => labels)).toEqual([[0], [0.5], undefined, undefined]);
  });

  it('are refused where they lack a text or a label, by their name', () => {
    const task = taskOf(new CoSENTLoss());
    const texts = [text(5), text(6)];
    const read = (...examples: Parameters<typeof embedderSequences>[1]) =>
      embedderSequences(task, examples, index => `train_dataset[${index}]`);
    expect(() => read({ texts, label: 1 }, { texts })).toThrow(/train_dataset\[1\]/);
    expect(() => read({ texts: [text(5)], label: 1 })).toThrow(InputError);
    expect(() => read({ texts: [text(5), text(config.vocabSize)], label: 1 })).toThrow(InputError);
  });

  it('are counted once, however many lengths have a loss', () => {
    const loss = new MatryoshkaLoss({ loss: new MultipleNegativesRankingLoss(), matryoshka_dims: [4, 8, 12] });
    const task = taskOf(loss);
    const graph = embedderGraph(task, { trainable: () => true, dropout: NO_DROPOUT });
    const list = embedderSequences(task, [{ texts: [text(5), text(6)] }, { texts: [text(7), text(8)] }]);
    expect(graph.losses).toHaveLength(3);
    expect(countItems(graph.ops, list).labels).toBe(2);
  });
});
