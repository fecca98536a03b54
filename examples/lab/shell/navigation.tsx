import { useRef } from 'preact/hooks';
import { tabs } from '../tabs/index.ts';
import { hrefOf, tabId } from './route.ts';

/** The way to every tab: a strip where the page is wide; else the name of the tab in view, which opens a list of all with a sentence each. */
export function Navigation() {
  const sheet = useRef<HTMLUListElement>(null);
  const current = tabs.find(({ id }) => id === tabId.value)!;
  const isCurrent = (id: string) => (id === current.id ? 'page' : undefined);
  return (
    <>
      <nav class="tab-strip" aria-label="Tabs">
        {tabs.map(({ id, title }) => (
          <a key={id} href={hrefOf(id)} aria-current={isCurrent(id)} data-title={title}>
            {title}
          </a>
        ))}
      </nav>
      <nav class="tab-menu" aria-label="Tabs">
        <button type="button" class="tab-menu-button" popovertarget="tab-sheet">
          <span>{current.title}</span>
          <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
            <path d="M2 4l4 4 4-4" fill="none" stroke="currentColor" stroke-width="1.75" />
          </svg>
        </button>
        <ul id="tab-sheet" class="tab-sheet" popover="auto" ref={sheet}>
          {tabs.map(({ id, title, about }) => (
            <li key={id}>
              <a href={hrefOf(id)} aria-current={isCurrent(id)} onClick={() => sheet.current?.hidePopover()}>
                <strong>{title}</strong>
                <span>{about}</span>
              </a>
            </li>
          ))}
        </ul>
      </nav>
    </>
  );
}
