import { type ModelChoice, nameOf, placeOfChoice } from '../../shell/model-choice.ts';
import { pipelineKind } from '../../shell/model-kind.ts';
import { type Lease, modelStore } from '../../shell/model-store.ts';
import { type Embedder, type Extractor, passageRows, queryRows, type Rows, similarities } from './embedder.ts';
import { ranking } from './ranks.ts';
import { Trial } from './trial.ts';

/** An embedder, tried: the passages that are nearest to a query, with what was learned and without. */

/** A passage and how near it is to the query. */
export interface Hit {
  readonly passage: string;
  readonly score: number;
}

export interface Found {
  readonly text: string;
  /** The nearest passages, the nearest first. */
  readonly before: readonly Hit[];
  readonly now: readonly Hit[];
}

export interface Tried {
  readonly base: Embedder;
  readonly choice: ModelChoice;
  readonly passages: readonly string[];
  /** Of the weights. */
  readonly version: number;
}

export const trial = new Trial<Found>();

/** So many passages of a ranking are shown. */
const MOST_HITS = 5;

/** For what ends by itself. */
export const NEVER = new AbortController().signal;

/** The model without what was learned, the one that other tabs have too. It is held as long as the training is in view. */
let untrained: Promise<Lease<Extractor>> | undefined;

/** The rows of passages: they stay what they are while a query is typed. */
const known = new Map<'before' | 'now', { readonly version: number; readonly rows: Promise<Rows> }>();

export function tryOut({ base, choice, passages, version }: Tried, text: string): void {
  trial.ask(async signal => {
    const { model } = base;
    if (!model) return undefined;
    const { model: old } = await untrainedOf(choice);
    const hits = async (asked: Extractor, which: 'before' | 'now', since: number): Promise<Hit[]> => {
      const rows = rowsOnce(which, since, () => passageRows(asked, passages, NEVER));
      const [query] = await queryRows(asked, [text], signal);
      const scores = similarities(query!, await rows);
      return ranking(scores)
        .slice(0, MOST_HITS)
        .map(place => ({ passage: passages[place]!, score: scores[place]! }));
    };
    const [before, now] = await Promise.all([hits(old, 'before', 0), hits(model, 'now', version)]);
    return { text, before, now };
  });
}

/** The training is not in view any more. */
export function forgetTrial(): void {
  trial.forget();
  known.clear();
  untrained?.then(lease => lease.release()).catch(() => undefined);
  untrained = undefined;
}

function rowsOnce(which: 'before' | 'now', version: number, embed: () => Promise<Rows>): Promise<Rows> {
  const present = known.get(which);
  if (present?.version === version) return present.rows;
  const made = { version, rows: embed() };
  known.set(which, made);
  made.rows.catch(() => known.get(which) === made && known.delete(which));
  return made.rows;
}

function untrainedOf(choice: ModelChoice): Promise<Lease<Extractor>> {
  if (untrained) return untrained;
  const lease = modelStore.acquire({
    kind: pipelineKind('feature-extraction'),
    name: nameOf(choice),
    place: () => placeOfChoice(choice),
    dtype: 'fp32',
    signal: NEVER,
    onProgress: () => undefined,
  });
  untrained = lease;
  lease.catch(() => {
    if (untrained === lease) untrained = undefined;
  });
  return lease;
}
