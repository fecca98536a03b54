import { build } from '../scripts/build.mjs';
import { buildLab } from '../scripts/lab.mjs';

/** Builds what the tests of the lab open, once: their files run at the same time. */
export default async function setup(): Promise<void> {
  await buildLab();
  await build();
}
