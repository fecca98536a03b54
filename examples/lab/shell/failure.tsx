import { WebGPUBertError } from 'webgpu-bert';

/** What went wrong, as a person can read it: the parts of a typed error, or the message of any other. */
function partsOf(error: unknown): { title: string; rows: (readonly [string, string])[]; next: string | undefined } {
  if (!(error instanceof WebGPUBertError)) {
    return { title: error instanceof Error ? error.message : String(error), rows: [], next: undefined };
  }
  const { what, actual, expected, next } = error;
  // A file's name keeps its letters; a word gets a capital.
  const title = `${what.replace(/^[a-z]+(?= )/, word => word.charAt(0).toUpperCase() + word.slice(1))}.`;
  const rows = [
    ['Found', actual],
    ['Expected', expected],
  ] as const;
  return { title, rows: rows.filter((row): row is readonly ['Found', string] => row[1] !== undefined), next };
}

/** A failure: what, actual, expected, next. `onRetry` where trying once more may help. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  if (error === undefined) return null;
  const { title, rows, next } = partsOf(error);
  return (
    <div class="panel panel-warning" role="alert">
      <strong>{title}</strong>
      {rows.length > 0 && (
        <dl class="facts">
          {rows.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {next && <p>{next}</p>}
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
