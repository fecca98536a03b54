import { computed, signal } from '@preact/signals';

/** What the page shows is in its address, so that a link shares it: `#attention?model=…&text=…&head=2.5`. */

/** The names of the tabs; an address with any other shows the first. */
let names: readonly string[] = [];

const parse = (hash: string): { tab: string; params: URLSearchParams } => {
  const address = hash.replace(/^#\/?/, '');
  const end = address.indexOf('?');
  const name = end < 0 ? address : address.slice(0, end);
  const tab = names.includes(name) ? name : (names[0] ?? '');
  return { tab, params: new URLSearchParams(end < 0 ? '' : address.slice(end + 1)) };
};

const route = signal(parse(''));
/** The settings of each tab: what it had in the address when it was left is there again when one comes back. */
const kept = signal<ReadonlyMap<string, string>>(new Map());

const keep = (tab: string, settings: string): void => {
  kept.value = new Map(kept.peek()).set(tab, settings);
};

/** Browsers refuse changes of an address that come too fast (Safari more than 100 in some seconds): then so long until the next attempt. */
const PAUSE_MS = 1_000;
let nextAttempt: ReturnType<typeof setTimeout> | undefined;

export const tabId = computed(() => route.value.tab);
/** The settings of the tab in view; read inside a component, they are followed. */
export const params = computed(() => route.value.params);

/** The way to a tab, with the settings that it was left with; read inside a component, they are followed. */
export const hrefOf = (tab: string): string => {
  const query = kept.value.get(tab);
  return `#${tab}${query ? `?${query}` : ''}`;
};

/** What is in view and has no name for an address: models of folders. */
export const unnamed = new Set<unknown>();

/** Reads the address from now on. */
export function followAddress(tabNames: readonly string[]): void {
  names = tabNames;
  route.value = parse(location.hash);
  addEventListener('hashchange', () => {
    clearTimeout(nextAttempt);
    keep(route.value.tab, String(route.value.params));
    route.value = parse(location.hash);
  });
}

/**
 * Writes settings of a tab into the address; undefined takes one out. Makes no step in the history. Of a tab that is not in view they are
 * there when one comes back to it: work may end after its tab was left.
 */
export function setParams(tab: string, changes: Readonly<Record<string, string | undefined>>): void {
  const isInView = tab === route.peek().tab;
  const before = isInView ? String(route.peek().params) : (kept.peek().get(tab) ?? '');
  const next = new URLSearchParams(before);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) next.delete(name);
    else next.set(name, value);
  }
  if (String(next) === before) return;
  keep(tab, String(next));
  if (!isInView) return;
  writeAddress();
  route.value = { tab, params: next };
}

function writeAddress(): void {
  clearTimeout(nextAttempt);
  try {
    history.replaceState(null, '', hrefOf(route.peek().tab));
  } catch {
    // What is shown does not hang on it; the newest settings are written then.
    nextAttempt = setTimeout(writeAddress, PAUSE_MS);
  }
}
