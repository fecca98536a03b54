/** A piece of a text, and the span that lies over it: the first of those that do. */
export interface Segment {
  readonly text: string;
  /** The place of the span in the list; undefined between spans. */
  readonly span: number | undefined;
  /** Whether the span begins here. */
  readonly isStart: boolean;
}

/** A text cut where spans begin and end. Where some overlap, the one that comes first in the list is seen. */
export function segmentsOf(
  text: string,
  spans: readonly { readonly start: number; readonly end: number }[],
): Segment[] {
  const cuts = [...new Set([0, text.length, ...spans.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  const byStart = [...spans.keys()].sort((a, b) => spans[a]!.start - spans[b]!.start);
  let begun = 0;
  /** The spans over the piece: of a long text only these few are looked at. */
  let over: number[] = [];
  return cuts.slice(0, -1).map((from, i) => {
    const to = cuts[i + 1]!;
    while (begun < byStart.length && spans[byStart[begun]!]!.start <= from) over.push(byStart[begun++]!);
    over = over.filter(place => spans[place]!.end >= to);
    const span = over.length > 0 ? Math.min(...over) : undefined;
    return { text: text.slice(from, to), span, isStart: span !== undefined && spans[span]!.start === from };
  });
}
