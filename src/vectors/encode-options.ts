import type { SentenceSettings } from '../engine/index.ts';
import { checkNames, describe, UnsupportedError } from '../errors.ts';
import { PROMPT_OPTION_NAMES, type PromptOptions, promptOf, type RunOptions } from '../tasks/index.ts';
import type { EncodeTask } from './router.ts';

/** The options of every call that encodes texts. */
export interface TextOptions extends PromptOptions, RunOptions {
  /** What to do with a text that is longer than the model takes: 'truncate' cuts it, 'error' throws. Default: 'truncate'. */
  overflow?: 'truncate' | 'error' | null;
}

const OPTION_NAMES = [...PROMPT_OPTION_NAMES, 'overflow', 'signal', 'progress_callback'];

/** The options of a call. Throws UnsupportedError for one that it does not have. */
export const encodeOptions = <Options extends TextOptions>(
  task: string,
  options: Options | null | undefined,
  more: readonly string[],
): Options => checkNames(task, options, [...OPTION_NAMES, ...more]);

/** The prompts that are taken for a task where the call asks for none, the first that the checkpoint has. */
const PROMPTS: Readonly<Record<EncodeTask, readonly string[]>> = {
  query: ['query'],
  document: ['document', 'passage', 'corpus'],
};

/** The options of `encode` for one of `encode_query` or `encode_document`, which choose the task. Throws UnsupportedError. */
export function taskOptions<Options extends TextOptions>(
  name: string,
  options: Options | null | undefined,
  task: EncodeTask,
  prompts: Readonly<Record<string, string>>,
): Options & { task: EncodeTask } {
  const asked = options ?? ({} as Options);
  if ('task' in asked) {
    throw new UnsupportedError({
      what: `encode_${task} of ${name} has no option "task"`,
      actual: describe(asked.task),
      supported: OPTION_NAMES,
      next: `Leave it out: encode_${task} encodes for the task "${task}".`,
    });
  }
  const asksForNone = (asked.prompt ?? null) === null && (asked.prompt_name ?? null) === null;
  const prompt_name = asksForNone ? PROMPTS[task].find(candidate => Object.hasOwn(prompts, candidate)) : undefined;
  return { ...asked, ...(prompt_name !== undefined && { prompt_name }), task };
}

/** What a checkpoint says of how its texts are encoded. */
export type TextSettings = Pick<SentenceSettings, 'prompts' | 'defaultPrompt' | 'maxLength' | 'lowerCase'>;

/** How the texts of a call are encoded. */
export interface TextRecipe extends Pick<SentenceSettings, 'maxLength' | 'lowerCase'> {
  /** Is put before every text. */
  readonly prompt: string;
}

/** Throws InputError for an unknown prompt. */
export async function recipeOf(settings: TextSettings, options: PromptOptions): Promise<TextRecipe> {
  const { maxLength, lowerCase } = settings;
  return { prompt: await promptOf(options, async () => settings, true), maxLength, lowerCase };
}
