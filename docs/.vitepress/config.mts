import { readFileSync } from 'node:fs';
import { type DefaultTheme, defineConfig } from 'vitepress';

const REPOSITORY = 'https://github.com/webgpu-bert/webgpu-bert';
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
/** Written by typedoc, before the site is built. */
const api: DefaultTheme.SidebarItem[] = JSON.parse(
  readFileSync(new URL('../api/typedoc-sidebar.json', import.meta.url), 'utf8'),
);

export default defineConfig({
  title: 'webgpu-bert',
  description:
    "BERT-family encoders on the client's GPU: handwritten WGSL, Hugging Face safetensors, the calls of transformers.js.",
  lang: 'en',
  cleanUrls: true,
  // A page is at the same place wherever the site is put: WEBGPU_BERT_DOCS_BASE is that place's path.
  base: process.env.WEBGPU_BERT_DOCS_BASE ?? '/',
  outDir: '../.cache/docs',
  cacheDir: '../.cache/vitepress',
  lastUpdated: false,
  // The index of the search is one file, which is fetched when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 4_000 } },
  markdown: {
    theme: { light: 'github-light', dark: 'github-dark' },
    // A link to a file outside of docs/ leads to the repository: the site does not have it.
    config: md => {
      md.core.ruler.push('files of the repository', ({ tokens }) => {
        for (const link of tokens
          .flatMap(({ children }) => children ?? [])
          .filter(({ type }) => type === 'link_open')) {
          const href = link.attrGet('href');
          if (href?.startsWith('../')) link.attrSet('href', `${REPOSITORY}/blob/main/${href.slice(3)}`);
        }
      });
    },
  },
  themeConfig: {
    siteTitle: 'webgpu-bert',
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'Tasks', link: '/tasks' },
      { text: 'Models', link: '/models' },
      { text: 'API', link: '/api/' },
      { text: version, items: [{ text: 'Changes', link: `${REPOSITORY}/blob/main/CHANGELOG.md` }] },
    ],
    sidebar: {
      '/api/': [{ text: 'API', link: '/api/', items: api }],
      '/': [
        {
          text: 'Use it',
          items: [
            { text: 'Start', link: '/start' },
            { text: 'From transformers.js', link: '/migrate' },
            { text: 'Tasks', link: '/tasks' },
            { text: 'Models', link: '/models' },
            { text: 'Training', link: '/training' },
            { text: 'Files and cache', link: '/sources' },
            { text: 'Recipes', link: '/recipes' },
            { text: 'Errors', link: '/errors' },
            { text: 'API', link: '/api/' },
            { text: 'Versions', link: '/versions' },
          ],
        },
        {
          text: 'How it works',
          items: [
            { text: 'Architecture', link: '/architecture' },
            { text: 'Adding a model', link: '/adding-a-model' },
            { text: 'Numerics', link: '/numerics' },
            { text: 'Families, heads, dtypes', link: '/families' },
            { text: 'Performance', link: '/performance' },
          ],
        },
      ],
    },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    footer: { message: 'Apache-2.0' },
  },
});
