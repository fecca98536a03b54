import { computed, signal } from '@preact/signals';

/** A text that a person writes, kept by this browser; before that, the first of the examples. */
export class KeptText<E extends { readonly lines: string }> {
  readonly #name: string;
  readonly #examples: readonly E[];
  readonly #own;
  readonly #shown;
  /** What was written before an example or a file took its place. */
  readonly before = signal<string | undefined>(undefined);
  readonly text = computed(() => this.#shown.value);

  constructor(name: string, examples: readonly E[]) {
    this.#name = name;
    this.#examples = examples;
    this.#own = kept(name);
    this.#shown = signal(this.#own ?? examples[0]!.lines);
    // Another page of this browser has written it: what this one had would overwrite it with the next key.
    addEventListener('storage', ({ key, newValue }) => {
      if (key === name && newValue !== null) this.#shown.value = newValue;
    });
  }

  /** The example that is in view as it is. */
  get example(): E | undefined {
    return this.#examples.find(({ lines }) => lines === this.#shown.value);
  }

  /** A person types. */
  write(text: string): void {
    this.#shown.value = text;
    this.before.value = undefined;
    this.#keep(text);
  }

  /** Puts an example or a file in its place; what a person has written can be brought back. */
  replace(text: string): void {
    const present = this.#shown.peek();
    const isOwn = present.trim() !== '' && this.example === undefined && present !== text;
    this.write(text);
    if (isOwn) this.before.value = present;
  }

  bringBack(): void {
    const { value } = this.before;
    if (value !== undefined) this.write(value);
  }

  #keep(text: string): void {
    try {
      if (this.example) localStorage.removeItem(this.#name);
      else localStorage.setItem(this.#name, text);
    } catch {
      // A page without storage, or a text too long for it: the text stays as long as the page is open.
    }
  }
}

function kept(name: string): string | undefined {
  try {
    return localStorage.getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}
