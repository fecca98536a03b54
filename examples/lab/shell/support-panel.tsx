import { supported } from './support.ts';

/** Why models do not run here, and what to do. Nothing where they do. What was computed beforehand stays in view. */
export function SupportPanel() {
  const support = supported.value;
  if (!support) return null;
  if (support.ok) {
    return support.software ? (
      <p class="note">This adapter computes on the CPU ({support.adapter}): everything works, slowly.</p>
    ) : null;
  }
  return (
    <div class="panel panel-warning" role="alert">
      <strong>Models do not run in this browser.</strong>
      <p>
        {support.reason} {support.next}
      </p>
      <p>
        Every tab needs a GPU for texts that you type; what was computed beforehand stays in view. On the CPU the same
        models run in transformers.js, whose calls have the same names.
      </p>
    </div>
  );
}
