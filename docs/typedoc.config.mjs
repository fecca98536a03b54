import { Converter } from 'typedoc';
import { ENTRIES } from '../scripts/entries.mjs';

/**
 * Modules are called as one imports them, not by their files. Without it the page of `webgpu-bert` would be called `src`.
 * @param {import('typedoc').Application} app
 */
function importNames(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, context => {
    for (const { name, source } of ENTRIES) {
      const reflection = context.project.children?.find(child => `src/${child.name}.ts` === source);
      if (reflection) reflection.name = name === 'index' ? 'webgpu-bert' : `webgpu-bert/${name}`;
    }
  });
}

/** The pages of docs/api, which VitePress reads: every entry of the package, from its sources. Warnings are errors. */
/** @type {Partial<import('typedoc').TypeDocOptions> & Record<string, unknown>} */
export default {
  entryPoints: ENTRIES.map(({ source }) => `../${source}`),
  tsconfig: 'tsconfig.json',
  plugin: ['typedoc-plugin-markdown', 'typedoc-vitepress-theme', importNames],
  out: 'api',
  docsRoot: '.',
  readme: 'none',
  name: 'API',
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  disableSources: true,
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  expandObjects: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  // Types that only compute others: what they come to is written where they are used.
  intentionallyNotExported: [
    'ALIASES',
    'ARRAYS',
    'AdapterPipelines',
    'Arrays',
    'BIASES',
    'BatchFields',
    'Blocks',
    'CALLBACK_EVENTS',
    'CLASSES',
    'Classes',
    'DEVICES',
    'FORMATS_BY_DTYPE',
    'FoundFiles',
    'JSONObject',
    'Json',
    'KERNEL_POOLINGS',
    'Later',
    'ListOptions',
    'Members',
    'Methods',
    'ModelCall',
    'Numbers',
    'PairOption',
    'PipelineClasses',
    'PipelineOf',
    'Rows',
    'SAVED_DTYPES',
    'SCHEDULER_TYPES',
    'SIMILARITIES',
    'SPARSE_SIMILARITIES',
    'Scalar',
    'TASK_TYPES',
    'Tags',
    'TextInput',
    'TextTokenizer',
    'TruncationSide',
    'TruncationStrategy',
    'UntypedList',
    'WordOptions',
  ],
};
