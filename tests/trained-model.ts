import type * as library from '../src/index.ts';
import type { DataRecord, TrainerState } from '../src/train.ts';

/** Models that a Trainer trains, as tests load and ask them, and what is logged meanwhile. In Node and in pages. */

type SequenceClass = typeof library.AutoModelForSequenceClassification;
export type SequenceModel = Awaited<ReturnType<SequenceClass['from_pretrained']>>;

/** The class for a head, by the name that it has in Python (BertForMaskedLM). Those of all heads are loaded and called alike. */
export const classOf = (classes: typeof library, head: string): SequenceClass =>
  (classes as unknown as Record<string, SequenceClass>)[`AutoModelFor${/For(\w+)$/.exec(head)![1]}`]!;

/** The logits of one record. */
export async function logitsOf(model: SequenceModel, record: DataRecord): Promise<number[]> {
  const { input_ids, token_type_ids } = record as { input_ids: number[]; token_type_ids?: number[] };
  const { logits } = await model({
    input_ids: [input_ids],
    ...(token_type_ids && { token_type_ids: [token_type_ids] }),
  });
  return [...(logits.data as Float32Array)];
}

/** The numbers that were logged by a name, in their order. */
export const logged = ({ state }: { readonly state: TrainerState }, name: string): number[] =>
  state.log_history.flatMap(entry => entry[name] ?? []);
