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
/** What each tab had in the address when it was left, to be there again when one comes back. */
const left = new Map<string, string>();

export const tabId = computed(() => route.value.tab);
/** The settings of the tab in view; read inside a component, they are followed. */
export const params = computed(() => route.value.params);

export const hrefOf = (tab: string): string => {
  const query = left.get(tab);
  return `#${tab}${query ? `?${query}` : ''}`;
};

/** Reads the address from now on. */
export function followAddress(tabNames: readonly string[]): void {
  names = tabNames;
  route.value = parse(location.hash);
  addEventListener('hashchange', () => {
    left.set(route.value.tab, String(route.value.params));
    route.value = parse(location.hash);
  });
}

/** Writes settings of a tab into the address; undefined takes one out. Makes no step in the history. */
export function setParams(tab: string, changes: Readonly<Record<string, string | undefined>>): void {
  if (tab !== route.value.tab) return;
  const next = new URLSearchParams(route.value.params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) next.delete(name);
    else next.set(name, value);
  }
  if (String(next) === String(route.value.params)) return;
  left.set(tab, String(next));
  history.replaceState(null, '', hrefOf(tab));
  route.value = { tab, params: next };
}
