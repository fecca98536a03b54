interface ExamplesProps<E extends { readonly title: string }> {
  readonly examples: readonly E[];
  onPick(example: E): void;
}

/** Inputs to begin with. */
export function Examples<E extends { readonly title: string }>({ examples, onPick }: ExamplesProps<E>) {
  return (
    <fieldset class="examples" aria-label="Examples">
      {examples.map(example => (
        <button key={example.title} type="button" class="button button-small" onClick={() => onPick(example)}>
          {example.title}
        </button>
      ))}
    </fieldset>
  );
}
