import type { RoleTokens } from './added-vocabulary.ts';
import { ROLES, type Role } from './tokenizer-class.ts';

export interface SpecialToken {
  readonly token: string;
  readonly id: number;
}

/** What BERT, RoBERTa and ALBERT call them: taken where neither a file nor the tokenizer's class says anything. */
const usual: Readonly<Record<Role, readonly string[]>> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
  bos: ['<s>'],
  eos: ['</s>'],
};

export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>>;

/** The special tokens that a tokenizer has, of those that are named or, where nothing is, usual. */
export function specialTokens(roles: RoleTokens, ids: ReadonlyMap<string, number>): SpecialTokens {
  const tokens: Partial<Record<Role, SpecialToken>> = {};
  for (const role of ROLES) {
    const named = roles[role];
    if (named === null) continue;
    const token = (named === undefined ? usual[role] : [named]).find(candidate => ids.has(candidate));
    if (token !== undefined) tokens[role] = { token, id: ids.get(token)! };
  }
  return tokens;
}
