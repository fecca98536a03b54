/** Texts cut into passages: the pieces that are embedded, ranked and shown. A passage is a place in its text; no text is copied. */

/** How a text is cut. A line is a passage of its own in tables (CSV) and lists. */
export type Unit = 'sentences' | 'paragraphs' | 'lines';

export interface Source {
  /** The name of the file; or what stands for pasted text. */
  readonly name: string;
  readonly text: string;
  readonly unit: Unit;
}

/** Half-open, in UTF-16 units of the source's text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Longer sentences and lines are cut between two words: about as much as a model of 512 tokens takes. */
const LONGEST = 1_500;
/** Sentences of a paragraph are put together up to so many characters. */
const PARAGRAPH = 700;
/** A shorter piece ("Dr.", "1.", "Yes!") says nothing alone: it goes with the next one. */
const SHORTEST = 12;

const HAS_WORDS = /[\p{L}\p{N}]/u;
/** A line that begins a block of its own: a heading or an item of a list. */
const BLOCK_START = /^(?:#{1,6}|[-*+>•]|\d{1,3}[.)])[ \t]/;

const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** The passages of a text in their order. What has neither a letter nor a digit is none. */
export function* passagesOf({ text, unit }: Source): Generator<Span> {
  for (const block of blocksOf(text, unit === 'lines')) {
    const pieces = unit === 'lines' ? [block] : sentencesOf(text, block);
    for (const span of unit === 'paragraphs' ? joined(pieces, PARAGRAPH) : pieces) {
      for (const piece of cut(text, trimmed(text, span))) {
        if (HAS_WORDS.test(text.slice(piece.start, piece.end))) yield piece;
      }
    }
  }
}

/** Paragraphs: what stands between lines without words. A heading is one, an item of a list begins one. Or every line. */
function* blocksOf(text: string, isByLine: boolean): Generator<Span> {
  let start = 0;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(at, end).trim();
    const isGap = !HAS_WORDS.test(line);
    if ((isGap || BLOCK_START.test(line)) && start < at) {
      yield { start, end: at };
      start = at;
    }
    const next = end + 1;
    if (isGap) start = next;
    else if (isByLine || line.startsWith('#')) {
      yield { start, end };
      start = next;
    }
    at = next;
  }
  if (start < text.length) yield { start, end: text.length };
}

function* sentencesOf(text: string, { start, end }: Span): Generator<Span> {
  // A line break ends a sentence for the segmenter, but not in a text whose lines are wrapped.
  const block = text.slice(start, end).replaceAll('\n', ' ').replaceAll('\r', ' ');
  let begin = start;
  let last: Span | undefined;
  for (const { index, segment } of segmenter.segment(block)) {
    const next = start + index + segment.length;
    if (next - begin - (segment.length - segment.trimEnd().length) < SHORTEST) continue;
    if (last) yield last;
    last = { start: begin, end: next };
    begin = next;
  }
  // What is too short at the end of the block goes with the sentence before.
  if (last) yield { start: last.start, end };
  else if (begin < end) yield { start: begin, end };
}

/** Neighbours put together, as long as they are no longer than `most` characters. */
function* joined(spans: Iterable<Span>, most: number): Generator<Span> {
  let whole: Span | undefined;
  for (const span of spans) {
    if (whole && span.end - whole.start <= most) whole = { start: whole.start, end: span.end };
    else {
      if (whole) yield whole;
      whole = span;
    }
  }
  if (whole) yield whole;
}

/** Without white space at its ends, and without the mark of a heading or an item at its start. */
function trimmed(text: string, { start, end }: Span): Span {
  const slice = text.slice(start, end);
  const lead = slice.length - slice.trimStart().length;
  const mark = BLOCK_START.exec(slice.trimStart())?.[0].length ?? 0;
  const begin = start + lead + (slice.trim().length > mark ? mark : 0);
  return { start: begin, end: Math.max(begin, start + slice.trimEnd().length) };
}

/** A passage that is too long, between words where there are some. */
function* cut(text: string, { start, end }: Span): Generator<Span> {
  let begin = start;
  while (end - begin > LONGEST) {
    // Within the piece alone: a text without spaces would be searched to its beginning for each.
    const space = begin + text.slice(begin, begin + LONGEST + 1).lastIndexOf(' ');
    let next = space > begin + LONGEST / 2 ? space : begin + LONGEST;
    // No pair of surrogates is parted.
    const unit = text.charCodeAt(next);
    if (unit >= 0xdc00 && unit < 0xe000) next -= 1;
    yield { start: begin, end: next };
    begin = next;
    while (text[begin] === ' ') begin += 1;
  }
  if (begin < end) yield { start: begin, end };
}
