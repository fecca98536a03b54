import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Similarity } from '../examples/react/app.tsx';

const root = createRoot(document.getElementById('root'));
root.render(
  <StrictMode>
    <Similarity model="/model/" />
  </StrictMode>,
);
globalThis.unmount = () => root.unmount();
