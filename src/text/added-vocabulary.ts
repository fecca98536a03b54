import { Fields, isRecord, isText, type Json } from '../json.ts';
import { type AddedToken, readAddedToken } from './added-tokens.ts';
import { TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './json-files.ts';
import { ROLES, type Role, type TokenizerClass } from './tokenizer-class.ts';

/** An added token without an id. If `normalized` is undefined, it is normalised if it is not special. */
type Unnumbered = Omit<AddedToken, 'id' | 'normalized' | 'raw'> & { readonly normalized?: boolean | undefined };
/** A special token: its content alone, or its content and flags. */
type Special = string | Unnumbered;

/** The special tokens by their role; null if the files say that there is none. */
export type RoleTokens = Readonly<Partial<Record<Role, string | null>>>;

export interface AddedVocabulary {
  readonly tokens: readonly AddedToken[];
  /** The tokens that the files name, or else the class. Roles that neither names are missing. */
  readonly roles: RoleTokens;
}

/**
 * The added tokens as transformers 4.57 has them after loading: those of tokenizer.json, then those of `added_tokens_decoder`, then
 * the special tokens that tokenizer_config.json, or else the class, names. If a token is added more than once, its last flags count. A
 * token of the vocabulary keeps its id there, whatever a file says; a new token gets the next id behind the vocabulary.
 * Source: PreTrainedTokenizerFast.__init__, PreTrainedTokenizerBase._from_pretrained, and AddedVocabulary of the Rust tokenizers.
 */
export function addedVocabulary(
  file: Fields,
  config: Fields,
  tokenizerClass: TokenizerClass | undefined,
  ids: ReadonlyMap<string, number>,
): AddedVocabulary {
  const entries = file.list('added_tokens', []).map((entry, i): [number, Unnumbered] => {
    const where = `added_tokens[${i}]`;
    return [new Fields(entry, where, TOKENIZER_FILE).integer('id'), readAddedToken(entry, where, TOKENIZER_FILE)];
  });
  const inFile = entries.map(([, token]) => token);
  const inConfig = decoderTokens(config);
  const decoder = inConfig ?? inOrder([...addedTokensFile(config), ...entries]);
  const byContent = new Map((inConfig ?? inFile).map(token => [token.content, token]));

  const special = new Map<Role, Special>();
  const roles: Partial<Record<Role, string | null>> = {};
  for (const role of ROLES) {
    const key = `${role}_token`;
    const value = config.json[key];
    const fallback = value === undefined ? tokenizerClass?.special[role] : undefined;
    if (value === null) roles[role] = null;
    if (value === null || (value === undefined && fallback === undefined)) continue;
    const named = fallback ?? readSpecial(config, value, key);
    // For a token that a file names, the flags of added_tokens_decoder count before those of the class.
    const token = (fallback === undefined && byContent.get(contentOf(named))) || named;
    special.set(role, isText(token) ? classToken(token, tokenizerClass?.flags?.[role]) : token);
    roles[role] = contentOf(token);
  }
  const additional = additionalTokens(config) ?? tokenizerClass?.additional ?? [];

  const fileTokens = new Map(inFile.map(token => [token.content, token]));
  /** The tokens that are added after those of tokenizer.json. */
  const later: Special[] = decoder.filter(token => !isSame(fileTokens.get(token.content), token));
  const contents = new Set([...inFile, ...later].map(contentOf));
  const names = new Set<string>();
  for (const token of [...special.values(), ...additional]) {
    const content = contentOf(token);
    if (names.has(content)) continue;
    names.add(content);
    const isThere = isText(token) ? contents.has(content) : later.some(other => !isText(other) && isSame(other, token));
    if (!isThere) later.push(token);
  }

  const tokens = numbered(
    [
      inFile,
      later.map(token => {
        const special = names.has(contentOf(token));
        return isText(token) ? plainToken(token, special) : { ...token, special: token.special || special };
      }),
    ],
    ids,
  );
  return { tokens, roles };
}

/**
 * Adds lists of tokens one after the other and gives each token its id. A token that is added again gets the flags of the last
 * time, with two exceptions: it is searched for in the raw text, or in the normalised one, if any time said so; and a token that
 * was special stays special.
 */
function numbered(lists: readonly (readonly Unnumbered[])[], ids: ReadonlyMap<string, number>): AddedToken[] {
  const added = new Map<string, AddedToken>();
  /** For each special token, whether it is normalised: the first time that it is special counts. */
  const specials = new Map<string, boolean>();
  let greatest = -1;
  for (const list of lists) {
    for (const token of list) {
      if (token.special && !specials.has(token.content)) specials.set(token.content, isNormalized(token));
    }
    for (const token of list) {
      const { content } = token;
      const before = added.get(content);
      const next = greatest >= ids.size ? greatest + 1 : ids.size;
      const id = before?.id ?? ids.get(content) ?? next;
      greatest = Math.max(greatest, id);
      const special = specials.has(content);
      const normalized = specials.get(content) ?? isNormalized(token);
      added.set(content, {
        ...token,
        id,
        special,
        normalized: normalized || (before?.normalized ?? false),
        raw: !normalized || (before?.raw ?? false),
      });
    }
  }
  return [...added.values()].sort((a, b) => a.id - b.id);
}

const contentOf = (token: Special): string => (isText(token) ? token : token.content);

const isNormalized = ({ normalized, special }: Unnumbered): boolean => normalized ?? !special;

const plainToken = (content: string, special: boolean): Unnumbered => ({
  content,
  special,
  singleWord: false,
  lstrip: false,
  rstrip: false,
});

/** A special token whose content alone the files give, with the flags that the class adds. */
function classToken(content: string, flags: { lstrip?: true; normalized?: boolean } | undefined): Special {
  if (flags === undefined) return content;
  return { ...plainToken(content, true), lstrip: flags.lstrip ?? false, normalized: flags.normalized };
}

const isSame = (a: Unnumbered | undefined, b: Unnumbered): boolean =>
  a !== undefined &&
  a.content === b.content &&
  a.special === b.special &&
  isNormalized(a) === isNormalized(b) &&
  a.singleWord === b.singleWord &&
  a.lstrip === b.lstrip &&
  a.rstrip === b.rstrip;

/** The tokens of `added_tokens_decoder` ({ "4": { content, lstrip, ... } }) in the order of their ids. */
function decoderTokens(config: Fields): Unnumbered[] | undefined {
  if (!config.has('added_tokens_decoder')) return undefined;
  const { json } = config.fields('added_tokens_decoder');
  return inOrder(
    Object.entries(json).map(([id, token]) => {
      if (!/^\d+$/.test(id)) throw config.malformed(id, 'an id', 'added_tokens_decoder');
      return [Number(id), readToken(config, token, `added_tokens_decoder.${id}`)];
    }),
  );
}

/** Tokens in the order of the ids that a file gives them. If two have one id, the last counts. */
const inOrder = (entries: readonly [id: number, token: Unnumbered][]): Unnumbered[] =>
  [...new Map(entries)].sort(([a], [b]) => a - b).map(([, token]) => token);

/** `additional_special_tokens`, and `extra_special_tokens`, which is an object in 4.57 and a list in 5. */
function additionalTokens(config: Fields): Special[] | undefined {
  const lists = ['additional_special_tokens', 'extra_special_tokens'].flatMap(key => {
    if (!config.has(key)) return [];
    const value = config.json[key];
    const list = isRecord(value) && key === 'extra_special_tokens' ? Object.values(value) : config.list(key);
    return [list.map((token, i) => readSpecial(config, token, `${key}[${i}]`))];
  });
  return lists.length === 0 ? undefined : lists.flat();
}

const readSpecial = (config: Fields, value: unknown, key: string): Special =>
  isText(value) ? value : readToken(config, value, key);

function readToken(config: Fields, value: unknown, key: string): Unnumbered {
  if (!isRecord(value)) throw config.malformed(value, 'a string or an object with its content', key);
  const token = readAddedToken(value, key, TOKENIZER_CONFIG_FILE);
  return 'normalized' in value ? token : { ...token, normalized: undefined };
}

/** Keys of tokenizer_config.json that name special tokens. */
const SPECIAL_KEYS = [...ROLES.map(role => `${role}_token`), 'additional_special_tokens'];

/** The key under which the contents of added_tokens.json are put among the fields of tokenizer_config.json. */
const ADDED_TOKENS_FILE = 'added_tokens.json';

/**
 * Merges special_tokens_map.json and added_tokens.json into tokenizer_config.json: older versions of transformers wrote a part of it
 * into those files. Callers read them only if tokenizer_config.json has no `added_tokens_decoder`.
 */
export function withOlderFiles(config: Json, specialTokensMap: unknown, addedTokens: unknown): Json {
  const merged: Json = { ...config };
  const { json } = new Fields(specialTokensMap ?? {}, '', 'special_tokens_map.json');
  const asSpecial = (value: unknown) => (isRecord(value) ? { ...value, special: true } : value);
  for (const [key, value] of Object.entries(json)) {
    const before = merged[key];
    if (key !== 'additional_special_tokens' || !Array.isArray(value)) merged[key] = asSpecial(value);
    else merged[key] = [...(Array.isArray(before) ? before : []), ...value.map(asSpecial)];
  }
  if (addedTokens !== undefined) merged[ADDED_TOKENS_FILE] = addedTokens;
  return merged;
}

/** The tokens of added_tokens.json ({ token: id }), each with its id there. */
function addedTokensFile({ json }: Fields): [id: number, token: Unnumbered][] {
  if (json[ADDED_TOKENS_FILE] === undefined) return [];
  const file = new Fields(json[ADDED_TOKENS_FILE], '', ADDED_TOKENS_FILE);
  const named = new Set(
    SPECIAL_KEYS.flatMap(key => json[key] ?? []).map(value => (isRecord(value) ? value.content : value)),
  );
  return Object.keys(file.json).map(content => {
    const special = named.has(content);
    return [file.integer(content), { ...plainToken(content, special), normalized: !special }];
  });
}
