import { InputError } from '../errors.ts';
import { text } from './arguments.ts';

/** What stands before a text: the names are those of sentence-transformers. */
export interface PromptOptions {
  /** The name of one of the checkpoint's prompts (config_sentence_transformers.json), 'query' or 'document' say. */
  prompt_name?: string | null;
  /** The prompt itself; it goes before `prompt_name`. '' is none, where the checkpoint has a default. */
  prompt?: string | null;
}

export const PROMPT_NAMES = ['prompt_name', 'prompt'] as const;

/** The prompts that a checkpoint has, and the name of the one that stands where none is asked for. */
interface Prompts {
  readonly prompts: Readonly<Record<string, string>>;
  readonly defaultPrompt: string | undefined;
}

/**
 * The prompt of a call, '' for none, as sentence-transformers' _resolve_prompt. `known` is asked only where the checkpoint's own are
 * wanted: of a name, or with `isEncode`, where encode() would take the default. Throws InputError for a name that is none of them.
 */
export async function promptOf(
  { prompt, prompt_name: name }: PromptOptions,
  known: () => Promise<Prompts>,
  isEncode: boolean,
): Promise<string> {
  if (name !== undefined && name !== null) text('prompt_name', name);
  if (prompt !== undefined && prompt !== null) return text('prompt', prompt);
  if (!isEncode && (name === undefined || name === null)) return '';
  const { prompts, defaultPrompt } = await known();
  const wanted = name ?? defaultPrompt;
  if (wanted === undefined) return '';
  if (Object.hasOwn(prompts, wanted)) return prompts[wanted]!;
  throw new InputError({
    what: 'the checkpoint has no prompt of this name',
    actual: JSON.stringify(wanted),
    expected: Object.keys(prompts).join(', ') || 'none: it has no prompts',
    next: 'Pass the text itself as `prompt`.',
  });
}

/**
 * A text in lower case, character by character as the Rust tokenizers' Lowercase (a final sigma is not special); special tokens in
 * it stay as they are.
 */
export function lowerCased(text: string, special: readonly string[]): string {
  const lower = (part: string) => Array.from(part, character => character.toLowerCase()).join('');
  const tokens = special.filter(token => token !== '').sort((a, b) => b.length - a.length);
  if (!tokens.some(token => text.includes(token))) return lower(text);
  const escaped = tokens.map(token => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return text
    .split(new RegExp(`(${escaped.join('|')})`))
    .map((part, i) => (i % 2 ? part : lower(part)))
    .join('');
}
