import { inspect, NO_HALF, NOT_FINITE } from '../../../shaders/inspect.ts';
import { dispatch, random } from '../../dispatch.ts';
import { check, expect } from '../../harness.ts';

check('inspect: the first number of every kind, wherever it stands', async () => {
  const found = async (x: Float32Array<ArrayBuffer>, limit: number) => {
    const out = await dispatch(
      inspect(),
      { x, found: new Uint32Array(8) },
      { count: x.length / 4, base: 1000, slot: 1, limit },
    );
    const words = [...new Uint32Array(out.found!.buffer)];
    expect(
      words.slice(0, 4).every(word => word === 0),
      'another slot',
    );
    return words.slice(4).map(word => (word === 0 ? -1 : (~word >>> 0) - 1000));
  };
  for (const count of [4, 36, 2048, 2052, 5000]) {
    const x = random(count)(count, 1e4);
    expect(`${await found(x, NOT_FINITE)}` === '-1,-1,-1,-1', 'finite numbers');
    for (const [kind, value] of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -65520].entries()) {
      for (const at of [0, Math.floor(count / 3), count - 1]) {
        const spoilt = x.slice();
        spoilt[at] = value;
        spoilt[count - 1] = value;
        const wanted = [-1, -1, -1, -1];
        wanted[kind] = at;
        expect(`${await found(spoilt, NO_HALF)}` === `${wanted}`, `${value} at ${at} of ${count}`);
      }
    }
    expect(
      `${await found(
        x.map(v => v + 65519 - v),
        NO_HALF,
      )}` === '-1,-1,-1,-1',
      'what rounds to a half',
    );
  }
});
