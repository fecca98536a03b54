import { type AlignedText, transform } from './aligned-text.ts';

export type UnicodeForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** A Unicode normalisation form (UAX #15), aligned as the Rust crate unicode-normalization-alignments does. */
export function normalizeForm(source: AlignedText, form: UnicodeForm): AlignedText {
  const normal = source.text.normalize(form);
  if (normal === source.text) return source;
  const decomposed = form.includes('K') ? 'NFKD' : 'NFD';
  // What each character decomposes to, and how that came about: see transform.
  const parts: { character: string; change: number }[] = [];
  for (const original of source.text) {
    let change = 0;
    for (const character of original.normalize(decomposed)) {
      parts.push({ character, change });
      change = 1;
    }
  }
  // Canonical order moves marks, but equal marks keep theirs, so the first unused equal one is the right one.
  let used = 0;
  const take = (character: string) => {
    let found = used;
    while (parts[found]!.character !== character) found++;
    if (found > used) parts.splice(used, 0, ...parts.splice(found, 1));
    return parts[used++]!.change;
  };
  const characters = [...normal];
  // A character that is composed replaces and swallows what all of its parts did.
  const changes = characters.map(character =>
    parts[used]?.character === character
      ? parts[used++]!.change
      : Array.from(character.normalize('NFD'), take).reduce((change, swallowed) => change + swallowed - 1),
  );
  return transform(source, characters, changes);
}
