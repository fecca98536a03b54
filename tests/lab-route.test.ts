import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** The address of the lab's page, with a browser's location and history in their place. */

type Route = typeof import('../examples/lab/shell/route.ts');

let route: Route;
let isRefused: boolean;
let onHash: () => void;
const place = { hash: '' };

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  isRefused = false;
  place.hash = '';
  vi.stubGlobal('location', place);
  vi.stubGlobal('history', {
    replaceState: (_: unknown, __: string, url: string) => {
      if (isRefused) throw new DOMException('Too many changes of the address.', 'SecurityError');
      place.hash = url;
    },
  });
  vi.stubGlobal('addEventListener', (_: string, listener: () => void) => {
    onHash = listener;
  });
  route = await import('../examples/lab/shell/route.ts');
  route.followAddress(['first', 'second']);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const go = (hash: string) => {
  place.hash = hash;
  onHash();
};

describe('the address', () => {
  test('has the settings of the tab in view', () => {
    route.setParams('first', { text: 'a & b' });
    expect(place.hash).toBe('#first?text=a+%26+b');
    expect(route.params.value.get('text')).toBe('a & b');
    route.setParams('first', { text: undefined });
    expect(place.hash).toBe('#first');
  });

  // Safari throws at 100 changes in some seconds, Firefox at 200: a key that is held is as many.
  test('that the browser refuses to change is written later; what is typed counts at once', () => {
    isRefused = true;
    for (const text of ['t', 'ty', 'typ']) route.setParams('first', { text });
    expect(route.params.value.get('text')).toBe('typ');
    expect(place.hash).toBe('');
    vi.advanceTimersByTime(5_000);
    isRefused = false;
    vi.advanceTimersByTime(5_000);
    expect(place.hash).toBe('#first?text=typ');
  });

  test('of a tab that was left in the meantime is not written over that of the next one', () => {
    isRefused = true;
    route.setParams('first', { text: 'typed' });
    go('#second?q=1');
    isRefused = false;
    vi.advanceTimersByTime(10_000);
    expect(place.hash).toBe('#second?q=1');
    expect(route.hrefOf('first')).toBe('#first?text=typed');
  });

  test('keeps what work sets for its tab after the tab was left', () => {
    route.setParams('first', { text: 'a' });
    go('#second');
    route.setParams('first', { texts: 'new' });
    expect(place.hash).toBe('#second');
    expect(route.params.value.has('texts')).toBe(false);
    expect(route.hrefOf('first')).toBe('#first?text=a&texts=new');
  });
});
