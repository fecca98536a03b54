import { isRecord, type Json } from '../json.ts';

/** The place of a value in a text. */
interface Span {
  readonly begin: number;
  readonly end: number;
}

/**
 * A JSON object with other values for some of its members, and new ones behind its last. All else stays as it is written: JavaScript would
 * make `0` of `0.0`, which Python takes for another type.
 * @param text valid JSON, of an object
 */
export function withMembers(text: string, members: Json): string {
  const spans = memberSpans(text);
  const written = (value: unknown) => JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
  const places = Object.entries(members).flatMap(([name, value]) => {
    const span = spans.get(name);
    return span ? [{ ...span, value: written(value) }] : [];
  });
  let changed = text;
  for (const { begin, end, value } of places.sort((a, b) => b.begin - a.begin)) {
    changed = changed.slice(0, begin) + value + changed.slice(end);
  }
  for (const [name, value] of Object.entries(members)) {
    if (spans.has(name)) continue;
    const end = changed.lastIndexOf('}');
    const before = changed.slice(0, end).trimEnd();
    const comma = before.endsWith('{') ? '' : ',';
    changed = `${before}${comma}\n  ${JSON.stringify(name)}: ${written(value)}\n${changed.slice(end)}`;
  }
  return changed;
}

/** The members of `wanted` that an object has not, or with another value. */
export function changedMembers(json: unknown, wanted: Json): Json {
  const old = isRecord(json) ? json : {};
  return Object.fromEntries(
    Object.entries(wanted).filter(
      ([name, value]) => value !== undefined && JSON.stringify(old[name]) !== JSON.stringify(value),
    ),
  );
}

/** The values of an object's own members, by their names; of several of one name the last. */
function memberSpans(text: string): Map<string, Span> {
  const spans = new Map<string, Span>();
  let depth = 0;
  let name: string | undefined;
  /** Where the value of the member begins; -1 before its colon. */
  let begin = -1;
  const close = (at: number) => {
    if (name === undefined || begin < 0) return;
    const value = text.slice(begin, at);
    const lead = value.length - value.trimStart().length;
    spans.set(name, { begin: begin + lead, end: begin + value.trimEnd().length });
    begin = -1;
  };
  for (let at = 0; at < text.length; at++) {
    const mark = text[at]!;
    if (mark === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      if (depth === 1 && begin < 0) name = JSON.parse(text.slice(start, at + 1)) as string;
    } else if (mark === '{' || mark === '[') depth++;
    else if (mark === '}' || mark === ']') {
      if (depth === 1) close(at);
      depth--;
    } else if (depth === 1 && mark === ':') begin = at + 1;
    else if (depth === 1 && mark === ',') close(at);
  }
  return spans;
}
