import { describe, expect, test } from 'vitest';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { UnsupportedError } from '../src/errors.ts';
import { readConfig } from '../src/model/index.ts';
import { TokenRows } from '../src/vectors/token-rows.ts';
import { checkpointFiles } from './vector-fixtures.ts';

const SIZES = { vocab_size: 60, hidden_size: 12, num_attention_heads: 3, intermediate_size: 16, num_hidden_layers: 1 };
const MOBILEBERT = { ...SIZES, model_type: 'mobilebert', embedding_size: 12, intra_bottleneck_size: 12 };
const CONVBERT = { ...SIZES, model_type: 'convbert', num_attention_heads: 4, conv_kernel_size: 3 };
const DEBERTA = { ...SIZES, model_type: 'deberta-v2', max_position_embeddings: 64 };

describe('queries that are filled up with tokens that are not attended to', () => {
  const files = checkpointFiles('colbert-expansion');
  const file = (name: string): unknown => JSON.parse(new TextDecoder().decode(files[name]));
  const tokenizer = new PreTrainedTokenizer(file('tokenizer.json'), file('tokenizer_config.json'));
  const rows = (config: Record<string, number | string | boolean>, attend: boolean) => {
    const expansion = { length: 20, cuts: true, attend, token: undefined };
    return () =>
      new TokenRows(
        { queryLength: undefined, documentLength: undefined, expansion, mask: undefined },
        tokenizer,
        readConfig(config),
      );
  };

  // The tokens that are filled in stand before the text in a pass: a convolution would read other neighbours than in Python.
  test.each([
    ['MobileBERT', MOBILEBERT, 'trigram_input'],
    ['ConvBERT', CONVBERT, 'conv_kernel_size 3'],
    ['DeBERTa', { ...DEBERTA, conv_kernel_size: 3 }, 'conv_kernel_size 3'],
  ])('%s is refused by name where the text does not attend to them', (_, config, named) => {
    expect(rows(config, false)).toThrow(UnsupportedError);
    expect(rows(config, false)).toThrow(named);
    expect(rows(config, true)).not.toThrow();
  });

  test('MobileBERT without a convolution is not', () => {
    expect(rows({ ...MOBILEBERT, trigram_input: false }, false)).not.toThrow();
  });

  // Python masks the rows of such tokens too (DeBERTa), or their embeddings (both), and counts them (ESM).
  test.each([
    ['DeBERTa v2', DEBERTA, 'model_type deberta-v2'],
    ['DeBERTa', { ...DEBERTA, model_type: 'deberta' }, 'model_type deberta'],
    ['ESM', { ...DEBERTA, model_type: 'esm', mask_token_id: 5, pad_token_id: 1 }, 'model_type esm'],
  ])('%s is refused, which computes other rows for them', (_, config, named) => {
    expect(rows(config, false)).toThrow(UnsupportedError);
    expect(rows(config, false)).toThrow(named);
    expect(rows(config, true)).not.toThrow();
  });
});
