import { useEffect } from 'preact/hooks';
import { count, twoDigits } from '../../shell/format.ts';
import { params } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { course, type PairTraining, type Standings, trialQuery } from './embedder-state.ts';
import { type Hit, trial, tryOut } from './embedder-trial.ts';
import { endOf, Loss, Save, TrialCard } from './results.tsx';

/** What has come of a training, while it goes on and afterwards. */
export function EmbedderResults({ training }: { training: PairTraining }) {
  const { done, findings } = training;
  return (
    <section class="training-results training-embedder" aria-label="What was learned">
      <Loss history={training.history} ratio={1.6}>
        How far the queries of a step are from their own passages, compared with the passages of the others: the lower
        the nearer.
      </Loss>
      {findings && <HeldOut training={training} findings={findings} />}
      {done > 0 && (
        <>
          <TryIt training={training} />
          <Save course={course} training={training}>
            In a folder, sentence-transformers of Python reads them, and every tab of this page: drop it on “Search”.
          </Save>
        </>
      )}
    </section>
  );
}

/** The sentence that says how a training has ended. */
export function outcomeOf(training: PairTraining): string {
  const { findings } = training;
  if (!findings) return endOf(training, 'embedder');
  const { before, now } = findings;
  const asked = count(now.places.length, 'query', 'queries');
  return `${endOf(training, 'embedder')} The right passage is first for ${now.first} of ${asked} held out; before, for ${before.first}.`;
}

/** So many queries are listed. */
const MOST_LISTED = 16;

/** How the queries that were held out find their passages: without what was learned, and with it. */
function HeldOut({ training: { plan }, findings: { before, now } }: { training: PairTraining; findings: Standings }) {
  const { held, passages } = plan;
  return (
    <section class="card" aria-label="Held out">
      <h2>Queries it has not learned from</h2>
      <dl class="training-standings">
        {(
          [
            ['Before', before],
            ['Now', now],
          ] as const
        ).map(([name, { first, mrr }]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <strong>
                {first} of {held.length}
              </strong>{' '}
              <span class="note">MRR@10 {twoDigits(mrr)}</span>
            </dd>
          </div>
        ))}
      </dl>
      <p class="note">
        Queries whose right passage is the first of {count(passages.length, 'passage')}. MRR@10 is the mean of 1 / its
        place: 1.00 where all are first.
      </p>
      <table class="training-places">
        <caption class="visually-hidden">The place of the right passage</caption>
        <thead>
          <tr>
            <th scope="col">Place of the right passage</th>
            <th scope="col">Before</th>
            <th scope="col">Now</th>
          </tr>
        </thead>
        <tbody>
          {held.slice(0, MOST_LISTED).map(({ line, query }, i) => (
            <tr key={line}>
              <th scope="row">{query}</th>
              <td>{before.places[i]}</td>
              <td class={now.places[i] === 1 ? 'is-first' : undefined}>{now.places[i]}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {held.length > MOST_LISTED && <p class="note">And {held.length - MOST_LISTED} more.</p>}
    </section>
  );
}

/** A query of the person's: the nearest passages before and now, as one types. */
function TryIt({ training: { base, choice, plan } }: { training: PairTraining }) {
  const query = params.value.get('query') ?? trialQuery.value;
  const version = course.version.value;
  const isBusy = course.work.isBusy.value;
  const hasText = query.trim() !== '';
  const { passages } = plan;
  useEffect(() => {
    // Between two steps the passages and the query would be embedded by different weights.
    if (hasText && !isBusy) tryOut({ base, choice, passages, version }, query);
    else trial.work.clear();
  }, [base, query, version, isBusy]);
  const shown = hasText ? trial.answer.value : undefined;
  return (
    <TrialCard
      trial={trial}
      doing="Looking for passages"
      label="A query"
      placeholder="Ask in words that it does not know"
      name="query"
      value={query}
      isLater={isBusy}
    >
      {shown && (
        <>
          <div class="training-sides">
            <Hits name="Before" hits={shown.before} />
            <Hits name="Now" hits={shown.now} />
          </div>
          <p class="note">
            Cosines of the query with the passages, the nearest first. Those of before and now are compared by their
            order alone.
          </p>
        </>
      )}
    </TrialCard>
  );
}

function Hits({ name, hits }: { name: string; hits: readonly Hit[] }) {
  return (
    <div>
      <h3>{name}</h3>
      <ScoreList
        label={`Passages ${name.toLowerCase()}`}
        scores={hits.map(({ passage, score }, place) => ({
          key: passage,
          label: passage,
          words: twoDigits(score),
          share: score,
          isStrong: place === 0,
        }))}
      />
    </div>
  );
}
