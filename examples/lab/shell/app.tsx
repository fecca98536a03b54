import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { type Tab, tabs } from '../tabs/index.ts';
import { dropProblem, dropTarget, isDropping, watchDrops } from './drop.ts';
import { Failure } from './failure.tsx';
import { Navigation } from './navigation.tsx';
import { hrefOf, tabId } from './route.ts';
import { ShareButton } from './share.tsx';
import { support } from './support.ts';
import { SupportPanel } from './support-panel.tsx';
import { nextTheme, theme } from './theme.ts';

interface Shown {
  readonly tab: Tab;
  readonly View?: ComponentType;
  readonly error?: unknown;
}

const shown = signal<Shown | undefined>(undefined);

async function show(tab: Tab): Promise<void> {
  const isCurrent = () => tabId.value === tab.id;
  try {
    const { default: View } = await tab.load();
    if (isCurrent()) shown.value = { tab, View };
  } catch (error) {
    if (isCurrent()) shown.value = { tab, error };
  }
}

export function App() {
  const id = tabId.value;
  const tab = tabs.find(entry => entry.id === id)!;
  useEffect(() => {
    void support();
    return watchDrops();
  }, []);
  useEffect(() => {
    document.title = `${tab.title} · webgpu-bert lab`;
    dropTarget.value = {};
    dropProblem.value = undefined;
    void show(tab);
  }, [tab]);
  const current = shown.value?.tab === tab ? shown.value : undefined;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <Header />
      <main id="main" tabIndex={-1}>
        <div class="tab-head">
          <h1>{tab.title}</h1>
          <p class="tab-about">{tab.about}</p>
        </div>
        <SupportPanel />
        <Failure error={dropProblem.value} />
        {current?.View ? (
          <current.View key={tab.id} />
        ) : (
          // Browsers keep that a script could not be loaded; and the page may have been built anew since, with scripts of other names.
          <Failure error={current?.error} onRetry={() => location.reload()} />
        )}
      </main>
      <Footer />
      {isDropping.value && (
        <div class="drop-hint">
          {dropTarget.value.onFiles ? 'Drop texts, or the folder of a model' : 'Drop the folder of a model'}
        </div>
      )}
    </>
  );
}

function Header() {
  return (
    <header class="bar">
      <a class="wordmark" href={hrefOf(tabs[0]!.id)} aria-label="webgpu-bert lab">
        <img src="./icon.svg" alt="" width="22" height="22" />
        <span class="wordmark-name">
          webgpu-bert <span>lab</span>
        </span>
      </a>
      <Navigation />
      <div class="bar-tools">
        <ShareButton />
        <ThemeButton />
      </div>
    </header>
  );
}

const themeNames = { system: 'as the device', light: 'light', dark: 'dark' } as const;

function ThemeButton() {
  const now = theme.value;
  return (
    <button
      type="button"
      class="icon-button"
      title={`Colours: ${themeNames[now]}`}
      aria-label={`Colours: ${themeNames[now]}. Switch to ${themeNames[nextTheme[now]]}.`}
      onClick={() => {
        theme.value = nextTheme[now];
      }}
    >
      <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
        <circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="1.75" />
        {now !== 'light' && (
          <path
            d={now === 'dark' ? 'M12 4a8 8 0 1 1 0 16a8 8 0 1 1 0-16' : 'M12 4a8 8 0 0 1 0 16z'}
            fill="currentColor"
          />
        )}
      </svg>
    </button>
  );
}

function Footer() {
  return (
    <footer>
      <p class="footer-text">
        Everything is computed in this page, on this device's GPU. No text leaves it; models come from the Hugging Face
        hub, once. <a href="https://github.com/webgpu-bert/webgpu-bert">webgpu-bert on GitHub</a>
      </p>
    </footer>
  );
}
