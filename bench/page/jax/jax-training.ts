import type { Jax, JaxArray, JaxArrays } from './library.ts';
import type { InitialWeight, SmallBert } from './small-bert.ts';

/** The settings of AdamW, on both sides. */
export interface AdamWSettings {
  rate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Of matrices and embeddings; biases and norms do not decay. */
  decay: number;
}

/** A batch of sequences of one length, so that nothing is padded. */
export interface Batch {
  readonly ids: readonly (readonly number[])[];
  readonly labels: readonly number[];
}

/**
 * How the rows of words are taken: by their numbers, whose gradient is a sum into rows by atomics; or as a product with a matrix of zeros
 * and ones, for browsers that do not compile the former.
 */
export type Lookup = 'rows' | 'product';

/** A training of jax-js: `step` makes one step and gives its loss. */
export interface JaxTraining {
  step(batch: Batch): Promise<number>;
  dispose(): void;
}

/**
 * The same model and step in jax-js, as its own examples have it: a function of the weights, `valueAndGrad`, and all of a step in one
 * `jit`, so that it may fuse what it can. AdamW is written out, for @jax-js/optax is not a part of @jax-js/jax; its formulas are those of
 * torch.optim.AdamW.
 */
export function jaxTraining(
  jax: Jax,
  config: SmallBert,
  weights: ReadonlyMap<string, InitialWeight>,
  lookup: Lookup,
  { rate, beta1, beta2, epsilon, decay }: AdamWSettings,
): JaxTraining {
  const { numpy: np } = jax;
  const lossOf = lossFunction(jax, config, lookup);
  const wholeStep = jax.jit(
    (
      parameters: JaxArrays,
      firsts: JaxArrays,
      seconds: JaxArrays,
      ids: JaxArray,
      labels: JaxArray,
      corrections: JaxArray,
    ) => {
      const [loss, gradients] = jax.valueAndGrad(lossOf)(jax.tree.ref(parameters), ids, labels);
      const [next, nextFirsts, nextSeconds]: Record<string, JaxArray>[] = [{}, {}, {}];
      for (const [name, parameter] of Object.entries(parameters)) {
        const gradient = gradients[name]!;
        const first = firsts[name]!.mul(beta1).add(gradient.ref.mul(1 - beta1));
        const second = seconds[name]!.mul(beta2).add(np.square(gradient).mul(1 - beta2));
        const mean = first.ref.div(corrections.ref.slice(0));
        const deviation = np.sqrt(second.ref.div(corrections.ref.slice(1))).add(epsilon);
        const kept = parameter.mul(1 - rate * (decays(name) ? decay : 0));
        next![name] = kept.sub(mean.div(deviation).mul(rate));
        nextFirsts![name] = first;
        nextSeconds![name] = second;
      }
      corrections.dispose();
      return { loss, parameters: next!, firsts: nextFirsts!, seconds: nextSeconds! };
    },
  );
  let parameters = jaxWeights(jax, weights);
  const zeros = () =>
    Object.fromEntries(Object.entries(parameters).map(([name, array]) => [name, np.zerosLike(array.ref)]));
  let firsts: JaxArrays = zeros();
  let seconds: JaxArrays = zeros();
  let count = 0;
  return {
    async step({ ids, labels }) {
      count++;
      const shape = [ids.length, ids[0]!.length];
      const made = wholeStep(
        parameters,
        firsts,
        seconds,
        np.array(Int32Array.from(ids.flat()), { shape, dtype: np.int32 }),
        np.array(Int32Array.from(labels), { shape: [labels.length], dtype: np.int32 }),
        np.array(new Float32Array([1 - beta1 ** count, 1 - beta2 ** count]), { shape: [2] }),
      );
      ({ parameters, firsts, seconds } = made);
      return (await made.loss.data())[0]!;
    },
    dispose() {
      jax.tree.dispose([parameters, firsts, seconds]);
      wholeStep.dispose();
    },
  };
}

const decays = (name: string): boolean => !/bias|LayerNorm/.test(name);

/** The weights as jax-js multiplies with them: matrices of linears are [in, out]. */
function jaxWeights({ numpy: np }: Jax, weights: ReadonlyMap<string, InitialWeight>): JaxArrays {
  return Object.fromEntries(
    [...weights].map(([name, { shape, numbers }]) => {
      const isLinear = shape.length === 2 && !name.includes('embeddings');
      if (!isLinear) return [name, np.array(numbers, { shape: [...shape] })];
      const [outputs, inputs] = shape as [number, number];
      const turned = numbers.map((_, i) => numbers[(i % outputs) * inputs + Math.floor(i / outputs)]!);
      return [name, np.array(turned, { shape: [inputs, outputs] })];
    }),
  );
}

/** The mean cross-entropy of a batch. ids [sequences, tokens], labels [sequences]. */
function lossFunction({ numpy: np, nn }: Jax, config: SmallBert, lookup: Lookup) {
  const { hidden_size: H, num_attention_heads: heads, num_hidden_layers: layers, layer_norm_eps, vocab_size } = config;
  return (parameters: JaxArrays, ids: JaxArray, labels: JaxArray): JaxArray => {
    const [sequences, tokens] = ids.shape as [number, number];
    const linear = (x: JaxArray, name: string) =>
      np.dot(x, parameters[`${name}.weight`]!).add(parameters[`${name}.bias`]!);
    const norm = (x: JaxArray, name: string) =>
      nn
        .standardize(x, -1, { epsilon: layer_norm_eps })
        .mul(parameters[`${name}.LayerNorm.weight`]!)
        .add(parameters[`${name}.LayerNorm.bias`]!);
    const attention = (x: JaxArray, name: string) => {
      const part = (each: string) =>
        linear(x.ref, `${name}.self.${each}`).reshape([sequences, tokens, heads, H / heads]);
      const mixed = nn.dotProductAttention(part('query'), part('key'), part('value')).reshape([-1, H]);
      return norm(linear(mixed, `${name}.output.dense`).add(x), `${name}.output`);
    };

    const embeddings = (kind: string) => parameters[`bert.embeddings.${kind}_embeddings.weight`]!;
    const words = embeddings('word');
    const rows = lookup === 'rows' ? words.slice(ids) : np.dot(nn.oneHot(ids, vocab_size), words);
    const embedded = rows.add(embeddings('position')).add(embeddings('token_type').slice(0));
    let x = norm(embedded.reshape([-1, H]), 'bert.embeddings');
    for (let i = 0; i < layers; i++) {
      const name = `bert.encoder.layer.${i}`;
      x = attention(x, `${name}.attention`);
      const inner = nn.gelu(linear(x.ref, `${name}.intermediate.dense`), { approximate: false });
      x = norm(linear(inner, `${name}.output.dense`).add(x), `${name}.output`);
    }
    const firstRows = x.reshape([sequences, tokens, H]).slice([], 0);
    const logits = linear(np.tanh(linear(firstRows, 'bert.pooler.dense')), 'classifier');
    const scores = nn.logSoftmax(logits).mul(nn.oneHot(labels, 2));
    return scores.sum().mul(-1 / sequences);
  };
}
