import type { RoleTokens } from './added-vocabulary.ts';
import { ROLES, type Role } from './tokenizer-class.ts';

export interface SpecialToken {
  readonly token: string;
  readonly id: number;
}

/** The special tokens of BERT, RoBERTa and ALBERT: the candidates for a role that neither a file nor the class of the tokenizer names. */
const USUAL_TOKENS: Readonly<Record<Role, readonly string[]>> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
  bos: ['<s>'],
  eos: ['</s>'],
};

export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>>;

/** The special token of each role: the named one, or else the first usual one that the tokenizer has. */
export function specialTokens(roles: RoleTokens, ids: ReadonlyMap<string, number>): SpecialTokens {
  const tokens: Partial<Record<Role, SpecialToken>> = {};
  for (const role of ROLES) {
    const name = roles[role];
    if (name === null) continue;
    const candidates = name === undefined ? USUAL_TOKENS[role] : [name];
    const token = candidates.find(candidate => ids.has(candidate));
    if (token !== undefined) tokens[role] = { token, id: ids.get(token)! };
  }
  return tokens;
}
