import { loadSuite } from './suite.ts';

await loadSuite(new URLSearchParams(location.search));
