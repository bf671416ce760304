import { guardedErrors, objectOf, TASK_PARAMS, textAnswer } from '../openapi-schemas.ts';
import { EXPORT_TYPES } from './export-file.ts';
import { FILTER_MEMBERS, META_HINT } from './routes-words-schemas.ts';

export const EXPORT_LOGS = {
  tags: ['logs'],
  summary: 'Exports lines as a file',
  description: [
    'Streams the lines that are there when it begins. Lines that are missing have an object {"gap":…}, a row or a line of',
    'their own. A connection that is cut before the end means that the export failed.',
    META_HINT,
  ].join(' '),
  params: TASK_PARAMS,
  querystring: objectOf(
    {
      format: { type: 'string', enum: ['json', 'csv', 'txt', 'ndjson'], default: 'json' },
      plain: { type: 'boolean', default: false, description: 'With txt: the messages alone, as they were written' },
      gzip: { type: 'boolean', default: false, description: 'A compressed file' },
      ...FILTER_MEMBERS,
    },
    { optional: ['format', 'plain', 'gzip', ...Object.keys(FILTER_MEMBERS)] },
  ),
  response: {
    200: {
      ...textAnswer('The file', EXPORT_TYPES),
      headers: { 'Content-Disposition': { type: 'string', description: 'attachment, with the name of the file' } },
    },
    ...guardedErrors('INVALID_INPUT', 'TASK_NOT_FOUND'),
  },
};
