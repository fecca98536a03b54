import { useEffect } from 'preact/hooks';
import { AnswerPlace } from '../../shell/answer.tsx';
import { Examples } from '../../shell/examples.tsx';
import { count, milliseconds, twoDigits } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params, setParams } from '../../shell/route.ts';
import { ScoreList } from '../../shell/score-list.tsx';
import { LineField, TextField } from '../../shell/text-field.tsx';
import { WorkStatus } from '../../shell/work-status.tsx';
import { documentsOf, RANK_EXAMPLES, rank, rankAsked, ranking, rankSlot, TAB, work } from './state.ts';

const WHY = 'A reranker reads the query and a document together, which embeddings do not.';

/** A query and documents, one a line, by how well each answers. */
export function Ranking() {
  const address = params.value;
  const query = address.get('query') ?? RANK_EXAMPLES[0]!.query;
  const typed = address.get('documents') ?? RANK_EXAMPLES[0]!.documents;
  const documents = documentsOf(typed);
  const asked = rankAsked(query, documents);
  const model = rankSlot.model;
  const canAsk = query.trim() !== '' && documents.length > 0;
  useEffect(() => {
    ranking.value = undefined;
  }, [model]);
  useEffect(() => {
    if (model && canAsk) rank(model, query, documents);
    else work.clear();
  }, [model, asked]);
  const shown = model && canAsk ? ranking.value : undefined;
  // Scores of a checkpoint without a sigmoid are of any size: bars then go from the least to the greatest.
  const scores = shown?.answer.map(({ score }) => score) ?? [];
  const isShare = scores.every(score => score >= 0 && score <= 1);
  const [least, most] = isShare ? [0, 1] : [scores.at(-1)!, scores[0]!];
  return (
    <>
      <ModelBar slot={rankSlot} why={WHY} />
      <div class="form">
        <LineField label="Query" value={query} onInput={value => setParams(TAB, { query: value })} />
        <TextField
          label="Documents, one a line"
          rows={4}
          value={typed}
          onInput={value => setParams(TAB, { documents: value })}
        />
        <Examples
          examples={RANK_EXAMPLES}
          onPick={example => setParams(TAB, { query: example.query, documents: example.documents })}
        />
      </div>
      <WorkStatus work={work} label="Ranking the documents" />
      {!canAsk && <p class="note">A query is needed, and a document or more.</p>}
      <AnswerPlace label="Documents, the best first" isReady={model !== undefined} isOld={shown?.asked !== asked}>
        {shown && (
          <>
            <div class="card">
              <ScoreList
                label="Documents, the best first"
                scores={shown.answer.map(({ label, score, line }, place) => ({
                  key: line,
                  label: (
                    <>
                      {label} <span class="number">line {line}</span>
                    </>
                  ),
                  words: isShare ? score.toFixed(3) : twoDigits(score),
                  share: most === least ? 1 : (score - least) / (most - least),
                  isStrong: place === 0,
                }))}
              />
            </div>
            <p class="note">
              {count(shown.answer.length, 'document')} read in {milliseconds(shown.elapsedMs)}.
              {shown.isCut && ' Some are longer than the model takes: their ends were not read.'}
            </p>
          </>
        )}
      </AnswerPlace>
    </>
  );
}
