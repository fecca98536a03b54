import { count } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { ClassifierResults, outcomeOf } from './classifier-results.tsx';
import { course, lines, planOf, RECIPE, read, reading } from './classifier-state.ts';
import { CLASS_EXAMPLES } from './examples.ts';
import { type LabelledLines, linesOfFile, whyNot } from './lines.ts';
import { LinesEditor } from './lines-editor.tsx';
import { settingsOf, TAB } from './recipe.ts';
import { Setup } from './setup.tsx';

export function ClassifierView() {
  const labelled = read.value;
  const reason = whyNot(labelled);
  const now = course.training.value;
  return (
    <>
      <ModelBar slot={course.slot} why="A model that has read much already learns from few lines." />
      <Setup
        course={course}
        plan={planOf(settingsOf(params.value, RECIPE))}
        source={labelled}
        reason={reason}
        recipe={RECIPE}
        noun="line"
        editor={
          <LinesEditor
            label="Your lines: a label, a comma or a tab, and a text"
            placeholder="label, text"
            what="a label and a text"
            lines={lines}
            examples={CLASS_EXAMPLES}
            reading={reading}
            faults={labelled.faults}
            linesOfFile={linesOfFile}
            onExample={() => setParams(TAB, { text: undefined })}
          />
        }
        summary={<ClassCounts labelled={labelled} reason={reason} />}
        preparing="Making the head"
        outcomeOf={outcomeOf}
      />
      {now && <ClassifierResults training={now} />}
    </>
  );
}

function ClassCounts({ labelled: { classes }, reason }: { labelled: LabelledLines; reason: string | undefined }) {
  const most = Math.max(...classes.map(each => each.count));
  return (
    <section class="card" aria-label="Classes">
      <h2>Classes</h2>
      {classes.length > 0 && (
        <ScoreList
          label="Lines of each class"
          scores={classes.map(({ label, count: lineCount }) => ({
            key: label,
            label,
            words: count(lineCount, 'line'),
            share: lineCount / most,
          }))}
        />
      )}
      {reason && <p class="training-reason">{reason}</p>}
    </section>
  );
}
