/**
 * The records of a table (RFC 4180), each a list of its fields. Fields in quotes may have separators, quotes and line breaks of their own;
 * a line break becomes a space. Empty lines are left out.
 * @param separator by default the one of comma, semicolon and tab that the first line has most of
 */
export function tableRecords(text: string, separator = separatorOf(text)): string[][] {
  const records: string[][] = [];
  let fields: string[] = [];
  let at = 0;
  while (at <= text.length) {
    let field = '';
    if (text[at] === '"') {
      const end = closingQuote(text, at + 1);
      field = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    }
    // What stands behind a closing quote belongs to the field as well.
    const end = endOfField(text, at, separator);
    field += text.slice(at, end);
    fields.push(field.replaceAll('\r', ' ').replaceAll('\n', ' ').trim());
    if (text[end] !== separator) {
      if (fields.some(each => each !== '')) records.push(fields);
      fields = [];
    }
    at = end + 1;
  }
  return records;
}

function separatorOf(text: string): string {
  const newline = text.indexOf('\n');
  const head = newline < 0 ? text : text.slice(0, newline);
  const count = (separator: string) => head.split(separator).length;
  return [',', ';', '\t'].reduce((best, other) => (count(other) > count(best) ? other : best));
}

/** The place of the quote that ends a field; the end of the text where there is none. */
function closingQuote(text: string, start: number): number {
  for (let at = start; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    if (text[quote + 1] !== '"') return quote;
    at = quote + 2;
  }
}

function endOfField(text: string, start: number, separator: string): number {
  let at = start;
  while (at < text.length && text[at] !== separator && text[at] !== '\n') at += 1;
  return at;
}
