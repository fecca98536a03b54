import { isText, isWhole, type Json, malformed } from '../json.ts';
import { CONFIG_FILE } from './config-file.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { MAX_COLUMNS } from './family.ts';

/** The values of `problem_type` of config.json: which loss a sequence classification has. */
export const PROBLEM_TYPES = ['single_label_classification', 'multi_label_classification', 'regression'] as const;
export type ProblemType = (typeof PROBLEM_TYPES)[number];

/**
 * The classes as transformers' PretrainedConfig counts them: as many as `id2label` has entries, whatever their ids. Without it there are
 * `num_labels` classes (default: 2) with the names LABEL_0, LABEL_1, ... Nothing is refused here, because most models have no classes.
 */
export function labelsOf({ id2label, num_labels }: Json): (string | undefined)[] {
  if (id2label === undefined || id2label === null) return numberedLabels(num_labels ?? 2);
  if (typeof id2label !== 'object') return [];
  return Array.from({ length: Object.keys(id2label).length }, (_, id) => {
    const name = (id2label as Json)[id];
    return isText(name) || typeof name === 'number' ? String(name) : undefined;
  });
}

const numberedLabels = (count: unknown): string[] =>
  Array.from({ length: isWhole(count) && count <= MAX_COLUMNS ? count : 0 }, (_, id) => `LABEL_${id}`);

/**
 * The configuration where `num_labels` and `id2label` disagree: transformers 4 has the names of id2label, transformers 5 as many numbered
 * classes as num_labels says, and either fails where the weights have another number. So the weights tell which of them is right.
 * @param rows The rows of the weight that makes the logits; undefined: there is none. Asked for only where the two disagree.
 */
export async function withCountedLabels(
  config: EncoderConfig,
  rows: () => Promise<number | undefined>,
): Promise<EncoderConfig> {
  const { num_labels } = config.raw;
  const isCounted = isWhole(num_labels) && num_labels > 0 && num_labels !== config.labels.length;
  if (!isCounted || (await rows()) !== num_labels) return config;
  return { ...config, labels: numberedLabels(num_labels) };
}

const LABELS = 'A model without classes has no such head: take another task, or a checkpoint that was trained for it.';

/** The number of classes, for a head with a logit per class. Throws CheckpointError where config.json has none. */
export function labelCount({ labels, raw }: EncoderConfig): number {
  if (labels.length > 0) return labels.length;
  const where = (raw.id2label ?? null) === null ? 'num_labels' : 'id2label';
  const expected = 'at least one class, which this head needs';
  throw malformed(CONFIG_FILE, { where, actual: raw[where], expected, next: LABELS });
}

/** The name of every class, for a task whose answers are names. Throws CheckpointError where config.json lacks one. */
export function labelNames(config: EncoderConfig): readonly string[] {
  labelCount(config);
  return config.labels.map((name, id) => {
    if (name !== undefined) return name;
    const next = `Give class ${id} a name in a copy of ${CONFIG_FILE.name}, or take AutoModelForSequenceClassification, which gives logits.`;
    const expected = `a name for class ${id}`;
    throw malformed(CONFIG_FILE, { where: 'id2label', actual: config.raw.id2label, expected, next });
  });
}
