'use client';

import { useEffect, useState } from 'react';
import { pipeline } from 'webgpu-bert';

export default function Page() {
  const [embedding, setEmbedding] = useState();
  useEffect(() => {
    const stop = new AbortController();
    const embed = async () => {
      const extractor = await pipeline('feature-extraction', '/model/', { signal: stop.signal });
      const output = await extractor('hello world', { pooling: 'mean', normalize: true });
      setEmbedding(output.tolist()[0]);
    };
    embed().catch(error => stop.signal.aborted || console.error(error));
    return () => stop.abort();
  }, []);
  return <output>{embedding && JSON.stringify(embedding)}</output>;
}
