/** An entity: its type, and its first and last tag. */
interface TaggedEntity {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** Pairs of tags before and behind a border, between which seqeval ends an entity, and begins one. */
const ENDS = new Set(['BB', 'BS', 'BO', 'IB', 'IS', 'IO']);
const BEGINS = new Set(['EE', 'EI', 'SE', 'SI', 'OE', 'OI']);

/** The entities of the tags of one text, as seqeval 1.2.2 finds them in its default mode (get_entities), whatever the tags are. */
function entitiesOf(tags: readonly string[]): TaggedEntity[] {
  const entities: TaggedEntity[] = [];
  let [lastPrefix, lastType, start] = ['O', '', 0];
  for (const [i, tag] of [...tags, 'O'].entries()) {
    const prefix = tag.slice(0, 1);
    const rest = tag.slice(1);
    // What stands behind the first dash: "PER" of "B-PER"; all of it where there is none.
    const type = rest.slice(rest.indexOf('-') + 1) || '_';
    const isOther = lastType !== type;
    const border = lastPrefix + prefix;
    const isOutside = (each: string) => each === 'O' || each === '.';
    const ends = 'ES'.includes(lastPrefix || '-') || ENDS.has(border) || (!isOutside(lastPrefix) && isOther);
    const begins = 'BS'.includes(prefix || '-') || BEGINS.has(border) || (!isOutside(prefix) && isOther);
    if (ends) entities.push({ type: lastType, start, end: i - 1 });
    if (begins) start = i;
    [lastPrefix, lastType] = [prefix, type];
  }
  return entities;
}

/** Of every type of entity: how many are right, predicted, and true. */
export function entityCounts({
  predictions,
  references,
}: {
  readonly predictions: readonly (readonly string[])[];
  readonly references: readonly (readonly string[])[];
}): Map<string, { right: number; predicted: number; actual: number }> {
  const counts = new Map<string, { right: number; predicted: number; actual: number }>();
  const of = (type: string) => {
    const own = counts.get(type) ?? { right: 0, predicted: 0, actual: 0 };
    counts.set(type, own);
    return own;
  };
  const keyOf = ({ type, start, end }: TaggedEntity) => `${start} ${end} ${type}`;
  for (const [i, tags] of references.entries()) {
    const actual = entitiesOf(tags);
    const keys = new Set(actual.map(keyOf));
    for (const { type } of actual) of(type).actual++;
    for (const entity of entitiesOf(predictions[i]!)) {
      of(entity.type).predicted++;
      if (keys.has(keyOf(entity))) of(entity.type).right++;
    }
  }
  return counts;
}
