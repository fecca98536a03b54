import { InputError } from '../errors.ts';
import { string } from './arguments.ts';

/** What is put before a text; the names are those of sentence-transformers. */
export interface PromptOptions {
  /** The name of one of the checkpoint's prompts (config_sentence_transformers.json), for example 'query' or 'document'. */
  prompt_name?: string | null;
  /** The prompt itself; `prompt_name` is then ignored. '' means no prompt, also where the checkpoint has a default one. */
  prompt?: string | null;
}

export const PROMPT_OPTION_NAMES = ['prompt_name', 'prompt'] as const;

/** The prompts of a checkpoint. */
interface Prompts {
  /** By their names. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The name of the prompt that encode() takes if no other is asked for. */
  readonly defaultPrompt: string | undefined;
}

/**
 * The prompt of a call, '' for none, as sentence-transformers' _resolve_prompt. `readPrompts` is called only if the checkpoint's
 * prompts are needed: for a `prompt_name`, or for the default one of encode() (`isEncode`). Throws InputError for an unknown name.
 */
export async function promptOf(
  { prompt, prompt_name }: PromptOptions,
  readPrompts: () => Promise<Prompts>,
  isEncode: boolean,
): Promise<string> {
  const wanted = prompt_name ?? undefined;
  if (wanted !== undefined) string('prompt_name', wanted);
  if (prompt !== undefined && prompt !== null) return string('prompt', prompt);
  if (!isEncode && wanted === undefined) return '';
  const { prompts, defaultPrompt } = await readPrompts();
  const name = wanted ?? defaultPrompt;
  if (name === undefined) return '';
  if (Object.hasOwn(prompts, name)) return prompts[name]!;
  throw new InputError({
    what: 'the checkpoint has no prompt of this name',
    actual: JSON.stringify(name),
    expected: Object.keys(prompts).join(', ') || 'none: it has no prompts',
    next: 'Pass the text itself as `prompt`.',
  });
}

/**
 * A text in lower case, except for special tokens in it. Each character is lowered alone, as by the Rust tokenizers' Lowercase: a
 * capital sigma at the end of a word becomes the usual small one.
 */
export function lowerCased(text: string, specialTokens: readonly string[]): string {
  const lower = (part: string) => Array.from(part, character => character.toLowerCase()).join('');
  // Longest first: one token may begin with another.
  const tokens = specialTokens.filter(token => token !== '').sort((a, b) => b.length - a.length);
  if (!tokens.some(token => text.includes(token))) return lower(text);
  const escaped = tokens.map(token => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  // The parts at odd places are the tokens, which the group keeps.
  return text
    .split(new RegExp(`(${escaped.join('|')})`))
    .map((part, i) => (i % 2 ? part : lower(part)))
    .join('');
}
