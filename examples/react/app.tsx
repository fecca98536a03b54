import { useState } from 'react';
import { cos_sim } from 'webgpu-bert';
import { usePipeline, useRun } from './use-pipeline.ts';

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Two sentences, and how near they are in meaning, as one types. */
export function Similarity({ model = 'sentence-transformers/all-MiniLM-L6-v2' }: { model?: string }) {
  const [first, setFirst] = useState('The cat sleeps on the sofa.');
  const [second, setSecond] = useState('A kitten is napping on the couch.');
  const { pipe, progress, error } = usePipeline('feature-extraction', model);
  const similarity = useRun(
    signal =>
      pipe?.([first, second], { pooling: 'mean', normalize: true, signal }).then(output => {
        const [a, b] = output.tolist() as number[][];
        return cos_sim(a!, b!);
      }),
    [pipe, first, second],
  );
  if (error) return <p role="alert">{words(error)}</p>;
  return (
    <form onSubmit={event => event.preventDefault()}>
      <label>
        One sentence <input value={first} onChange={event => setFirst(event.target.value)} />
      </label>
      <label>
        Another <input value={second} onChange={event => setSecond(event.target.value)} />
      </label>
      {pipe ? (
        <output aria-busy={similarity.isRunning}>{similarity.answer?.toFixed(3)}</output>
      ) : (
        <progress value={progress} aria-label="Loading the model" />
      )}
      {similarity.error !== undefined && <p role="alert">{words(similarity.error)}</p>}
    </form>
  );
}
