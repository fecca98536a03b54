import { type Json, malformed } from '../fields.ts';

export interface SpecialToken {
  readonly token: string;
  readonly id: number;
}

/** What BERT, RoBERTa and ALBERT call them: the defaults of Python's tokenizer classes, where a config is silent. */
const usual = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
  bos: ['<s>'],
  eos: ['</s>'],
} as const;

type Role = keyof typeof usual;
export const ROLES = Object.keys(usual) as Role[];
export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>>;

/** The special tokens of a tokenizer_config.json ("cls_token": a string, or an object with its content). */
export function readSpecialTokens(config: Json, idOf: (token: string) => number | undefined): SpecialTokens {
  const tokens: Partial<Record<Role, SpecialToken>> = {};
  for (const role of ROLES) {
    const value = config[`${role}_token`];
    if (value === null) continue;
    const content = typeof value === 'object' ? (value as Json).content : value;
    if (content !== undefined && typeof content !== 'string') {
      throw malformed(`${role}_token`, value, 'a string', 'tokenizer_config.json');
    }
    const token = content ?? usual[role].find(candidate => idOf(candidate) !== undefined);
    const id = token === undefined ? undefined : idOf(token);
    if (token !== undefined && id !== undefined) tokens[role] = { token, id };
  }
  return tokens;
}
