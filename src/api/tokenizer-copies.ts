import type { ModelSource } from '../checkpoint/source/index.ts';
import { SourceError } from '../errors.ts';
import { copiedFiles } from '../saving/index.ts';
import { env, LogLevel } from './env.ts';

/** What a tokenizer has, whatever it is built from; the first is all of it. */
const GENERAL = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];
/** What it is built from where there is no tokenizer.json. */
const VOCABULARIES = [
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'sentencepiece.bpe.model',
  'spiece.model',
  'tokenizer.model',
  'spm.model',
];

/**
 * The files of a tokenizer that lie beside a model, by their names: this module builds none, so that a page without a tokenizer has none. A file
 * that is there and cannot be had now, because the page is offline and it is in no cache, is left out with a warning on the console: the
 * weights of a training, which are nowhere else, are worth more than a file that can be loaded again. Rejects with the signal's reason.
 */
export async function tokenizerCopies(source: ModelSource, signal: AbortSignal): Promise<File[]> {
  const files: File[] = [];
  const unread: SourceError[] = [];
  const copy = async (names: readonly string[]) => {
    for (const name of names) {
      try {
        files.push(...(await copiedFiles(source, [name], true)));
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof SourceError)) throw error;
        unread.push(error);
        // Without the network each of the others would be waited for in vain, too.
        return;
      }
    }
  };
  await copy(GENERAL);
  const isWhole = files.some(({ name }) => name === GENERAL[0]);
  if (!isWhole && unread.length === 0) await copy(VOCABULARIES);
  const [error] = unread;
  if (error && env.logLevel <= LogLevel.WARNING) {
    console.warn(
      `webgpu-bert: the files of the tokenizer are not among those of the saved model: ${error.message} Those of AutoTokenizer.from_pretrained(…).save_pretrained() belong beside them.`,
    );
  }
  return files;
}
