import { count } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { EmbedderResults, outcomeOf } from './embedder-results.tsx';
import { course, lines, planOf, RECIPE, read, reading } from './embedder-state.ts';
import { LinesEditor } from './lines-editor.tsx';
import { PAIR_EXAMPLES } from './pair-examples.ts';
import { type PairLines, pairLinesOfFile, whyNoPairs } from './pairs.ts';
import { settingsOf, TAB } from './recipe.ts';
import { Setup } from './setup.tsx';

export function EmbedderView() {
  const written = read.value;
  const plan = planOf(settingsOf(params.value, RECIPE));
  const reason = whyNoPairs(written, plan);
  const now = course.training.value;
  return (
    <>
      <ModelBar slot={course.slot} why="A model that can find passages already learns your words from few pairs." />
      <Setup
        course={course}
        plan={plan}
        source={written}
        reason={reason}
        recipe={RECIPE}
        noun="pair"
        editor={
          <LinesEditor
            label="Your pairs: a query, a tab or “ | ”, and the passage that answers it"
            placeholder="query | passage"
            what="a query and a passage"
            lines={lines}
            examples={PAIR_EXAMPLES}
            reading={reading}
            faults={written.faults}
            linesOfFile={pairLinesOfFile}
            onExample={() => setParams(TAB, { query: undefined })}
          />
        }
        summary={<PairCounts written={written} reason={reason} />}
        preparing="Asking the model before it learns"
        outcomeOf={outcomeOf}
      />
      {now && <EmbedderResults training={now} />}
    </>
  );
}

function PairCounts({ written, reason }: { written: PairLines; reason: string | undefined }) {
  const { pairs, passages, wrongCount } = written;
  const queryCount = new Set(pairs.map(({ query }) => query)).size;
  return (
    <section class="card" aria-label="Pairs">
      <h2>Pairs</h2>
      {pairs.length > 0 && (
        <p>
          {count(queryCount, 'query', 'queries')} for {count(passages.length, 'passage')}
        </p>
      )}
      <p class="note">
        Each query is drawn nearer to its passage than to those of the others. A third text on every line, a passage
        that is near and wrong, makes it harder.
      </p>
      {wrongCount > 0 && wrongCount < pairs.length && (
        <p class="note">
          {count(wrongCount, 'pair')} of {pairs.length} have a third text: wrong passages are learned from where every
          line has one.
        </p>
      )}
      {reason && <p class="training-reason">{reason}</p>}
    </section>
  );
}
