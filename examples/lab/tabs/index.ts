import type { ComponentType } from 'preact';

/** One tab is one folder: its entry here, and a module whose default export is the view. Nothing of a tab is loaded before it is opened. */
export interface Tab {
  /** The tab's name in the address: `#attention`. */
  readonly id: string;
  readonly title: string;
  /** One sentence below the title: what the tab answers. */
  readonly about: string;
  load(): Promise<{ default: ComponentType }>;
}

export const tabs: readonly Tab[] = [
  {
    id: 'attention',
    title: 'Attention',
    about: 'Every head of every layer, as you type.',
    load: () => import('./attention/index.tsx'),
  },
  {
    id: 'fill-mask',
    title: 'Fill-mask',
    about: 'Which words fit in a gap, and how likely each is.',
    load: () => import('./fill-mask/index.tsx'),
  },
  {
    id: 'pairs',
    title: 'Sentence pairs',
    about: 'How near sentences are in meaning, and whether one follows another.',
    load: () => import('./pairs/index.tsx'),
  },
  {
    id: 'classification',
    title: 'Classification',
    about: 'A text by labels, a checkpoint’s or your own; documents by a query.',
    load: () => import('./classification/index.tsx'),
  },
  {
    id: 'entities',
    title: 'Entities and answers',
    about: 'Names in a text, and the words that answer a question.',
    load: () => import('./entities/index.tsx'),
  },
  {
    id: 'search',
    title: 'Search',
    about: 'Your texts by meaning, and where each lies among the others.',
    load: () => import('./search/index.tsx'),
  },
  {
    id: 'training',
    title: 'Training',
    about: 'A classifier or an embedder of your own, out of a few dozen lines.',
    load: () => import('./training/index.tsx'),
  },
  {
    id: 'device',
    title: 'This device',
    about: 'How fast models run here, and what the browser allows.',
    load: () => import('./device/index.tsx'),
  },
];
