import { effect, signal } from '@preact/signals';

/** The choice of the person; 'system' follows the device. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'lab-theme';
const isTheme = (value: unknown): value is Theme => value === 'system' || value === 'light' || value === 'dark';

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return isTheme(value) ? value : 'system';
  } catch {
    // A page without storage keeps the choice as long as it is open.
    return 'system';
  }
}

export const theme = signal<Theme>(kept());

/** The colour of a browser's own bars, in light and in dark. */
const bars = [...document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]')];
const barColours = bars.map(bar => bar.content);

effect(() => {
  for (const [k, bar] of bars.entries()) {
    bar.content = barColours[theme.value === 'system' ? k : Number(theme.value === 'dark')]!;
  }
  const { dataset } = document.documentElement;
  if (theme.value === 'system') delete dataset.theme;
  else dataset.theme = theme.value;
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {}
});

// Another page of this browser has another theme.
addEventListener('storage', ({ key, newValue }) => {
  if (key === KEY && isTheme(newValue)) theme.value = newValue;
});

export const nextTheme: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };
