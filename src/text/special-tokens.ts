import { type Fields, isRecord, isText } from '../fields.ts';

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
};

type Role = keyof typeof usual;
export const ROLES = Object.keys(usual) as Role[];
export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>>;

/** The special tokens of a tokenizer_config.json ("cls_token": a string, or an object with its content). */
export function readSpecialTokens(config: Fields, ids: ReadonlyMap<string, number>): SpecialTokens {
  const tokens: Partial<Record<Role, SpecialToken>> = {};
  for (const role of ROLES) {
    const key = `${role}_token`;
    const value = config.json[key];
    if (value === null) continue;
    const content = isRecord(value) ? value.content : value;
    if (content !== undefined && !isText(content)) throw config.malformed(value, 'a string', key);
    const token = (content === undefined ? usual[role] : [content]).find(candidate => ids.has(candidate));
    if (token !== undefined) tokens[role] = { token, id: ids.get(token)! };
  }
  return tokens;
}
