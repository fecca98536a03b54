import { install } from '../scripts/packages.mjs';
import { at } from '../scripts/root.mjs';

/** @param {...string} parts */
export const inBench = (...parts) => at('bench', ...parts);

/**
 * transformers.js, onnxruntime-web, jax-js and Dawn for Node, into bench/node_modules (about 300 MB): apart from the library's
 * own packages, so that nobody who only builds or tests it downloads them.
 * @returns {Promise<string>} What was done, in words.
 */
export const benchPackages = () =>
  install(inBench(), {
    // A page needs neither of the two downloads of these install scripts, should npm run them after all.
    flags: ['--ignore-scripts'],
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ONNXRUNTIME_NODE_INSTALL_CUDA: 'skip' },
    next: 'the side-by-side needs these packages: mend what npm says above, then run the command again; `npm run bench -- --ours` measures without them.',
  });
