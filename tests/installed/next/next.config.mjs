import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @type {import('next').NextConfig} */
export default {
  output: 'export',
  // node_modules is in the folder above.
  turbopack: { root: dirname(dirname(fileURLToPath(import.meta.url))) },
};
