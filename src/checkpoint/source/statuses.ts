import { SourceError } from '../../errors.ts';
import type { Answer } from './request.ts';

const PRIVATE = 'Check its id; for a private or gated model let env.fetch send an Authorization header.';
const LATER = 'Try again later.';

/** What a status means for a file of a model, and what can be done about it. */
const MEANINGS: Readonly<Record<number, readonly [meaning: string, next: string]>> = {
  401: ['there is no such model, or it is private or gated', PRIVATE],
  403: ['access is forbidden', PRIVATE],
  408: ['the server waited too long', LATER],
  429: ['too many requests', LATER],
};

const ABSENT: readonly number[] = [403, 404, 410];

/** Whether an answer says that there is no such file. An object store without the right to list says 403 for that; a hub does not. */
export const saysAbsent = ({ status }: Response, isHub: boolean): boolean =>
  ABSENT.includes(status) && !(isHub && status === 403);

/** Whether an answer says something about the file: that it is there, or that it is absent or forbidden. */
export const isConclusive = ({ ok, status }: Response): boolean => ok || ABSENT.includes(status);

/** The error for an answer that is neither the file nor says that it does not exist. */
export function refused(file: string, url: string, { response, effort }: Answer): SourceError {
  const { status, statusText, headers } = response;
  const [meaning, next] =
    MEANINGS[status] ??
    (status >= 500 ? ['the server failed', LATER] : [statusText, 'Check the id, its revision and env.remoteHost.']);
  const details = [headers.get('x-error-message') ?? headers.get('x-error-code'), effort].filter(Boolean);
  return new SourceError({
    file,
    url,
    status,
    what: `${file} could not be loaded from ${url}`,
    actual: `status ${status}, ${meaning}${details.length > 0 ? ` (${details.join('; ')})` : ''}`,
    next,
  });
}

/** The error for a file that cannot be had of the same commit as the files before it. `told`: the commit of the answer. */
export const moved = (file: string, url: string, told: string | undefined, commit: string): SourceError =>
  new SourceError({
    file,
    url,
    what: `the branch of the model moved while it was being loaded, and ${file} cannot be had of the same commit`,
    actual: told === undefined ? 'a commit that is no longer there' : `commit ${told}`,
    expected: `commit ${commit}, of which the other files are`,
    next: 'Load the model again.',
  });
