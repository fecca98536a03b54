import { fileURLToPath } from 'node:url';
import webpack from 'webpack';

const here = fileURLToPath(new URL('.', import.meta.url));
const options = {
  mode: 'production',
  context: here,
  entry: './main.js',
  output: { path: `${here}webpack` },
  // The tests' folder lies in a checkout, whose tsconfig.json would lead to its sources.
  resolve: { tsconfig: false },
};

// Builds main.js into the folder webpack.
const stats = await new Promise((resolve, reject) => {
  webpack(options, (error, made) => (error ? reject(error) : resolve(made)));
});
console.log(stats.toString());
process.exitCode = stats.hasErrors() ? 1 : 0;
