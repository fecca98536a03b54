const BLOCK = 4096;

let blocks: readonly string[] | undefined;

/** All characters of Unicode, in order, in texts of 4,096 each. They are made once: 4 MB, and only for the patterns that need them. */
export function allCharacters(): readonly string[] {
  blocks ??= Array.from({ length: 0x110000 / BLOCK }, (_, block) =>
    String.fromCodePoint(...Array.from({ length: BLOCK }, (_, i) => block * BLOCK + i)),
  );
  return blocks;
}
