import { signal } from '@preact/signals';
import { unnamed } from './route.ts';

const said = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

function say(text: string): void {
  said.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => {
    said.value = '';
  }, 2500);
}

async function share(): Promise<void> {
  const { href: url } = location;
  const without = unnamed.size > 0 ? ', without the model of your folder' : '';
  // A phone has a sheet of its own for it; a desktop's is in the way.
  if (matchMedia('(pointer: coarse)').matches && navigator.share) {
    if (without) say(`The link is${without}`);
    await navigator.share({ url, title: document.title }).catch(() => undefined);
    return;
  }
  try {
    await navigator.clipboard.writeText(url);
    say(`Link copied${without}`);
  } catch {
    say(`The address of this page is the link${without}`);
  }
}

/** Copies the address: the tab, its model where that has an id or a URL, and the settings of the tab (setParams). No files, no texts that are kept. */
export function ShareButton() {
  return (
    <>
      <span class="said" role="status">
        {said.value}
      </span>
      <button type="button" class="button button-quiet share-button" onClick={() => void share()}>
        <svg class="share-icon" viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
          <path
            d="M12 15V4m0 0L8 8m4-4l4 4M6 12v7h12v-7"
            fill="none"
            stroke="currentColor"
            stroke-width="1.75"
            stroke-linecap="round"
            stroke-linejoin="round"
          />
        </svg>
        <span class="share-word">Share</span>
      </button>
    </>
  );
}
