import { tableRecords } from '../../shell/table.ts';

/**
 * A table as lines of text: a record a line, its fields that are not empty parted by " · ".
 * @param separator see `tableRecords`
 */
export const csvLines = (text: string, separator?: string): string =>
  tableRecords(text, separator)
    .map(fields => fields.filter(field => field !== '').join(' · '))
    .join('\n');
