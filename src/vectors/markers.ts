import {
  foundTokenizer,
  type PreTrainedTokenizer,
  type Reopen,
  PreTrainedTokenizer as Tokenizer,
} from '../api/index.ts';
import type { ModelSource } from '../checkpoint/source/index.ts';
import { isRecord, type Json } from '../json.ts';

/**
 * Reads a tokenizer that takes each marker, or its first word, as one token where the vocabulary has it: ColBERT was trained with
 * `[unused0]` as one token, and BERT's tokenizer would split it. As MultiVectorEncoder._register_prefix_tokens.
 */
export const withMarkers =
  (markers: readonly string[]) =>
  async (source: ModelSource, open: Reopen): Promise<PreTrainedTokenizer> => {
    const { tokenizer: json, config, found } = await foundTokenizer(source, open);
    const tokenizer = new Tokenizer(json, config, found);
    const contents = new Set(markers.flatMap(marker => contentOf(marker, tokenizer) ?? []));
    if (contents.size === 0 || !isRecord(json)) return tokenizer;
    const added = [...contents].map(content => ({
      id: tokenizer.text.tokenToId(content)!,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }));
    const before = Array.isArray(json.added_tokens) ? json.added_tokens : [];
    return new Tokenizer({ ...json, added_tokens: [...before, ...added] } satisfies Json, config, found);
  };

/** The token of a marker, where it must be added: the tokenizer knows it, and splits it. */
function contentOf(marker: string, { text }: PreTrainedTokenizer): string | undefined {
  const known = [marker, marker.trim().split(' ')[0]!].find(
    content => content.trim() !== '' && text.tokenToId(content) !== undefined,
  );
  if (known === undefined) return undefined;
  const { tokens } = text.encode(known, { addSpecialTokens: false });
  return tokens.length === 1 && tokens[0] === known ? undefined : known;
}
