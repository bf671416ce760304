import { create } from 'content-disposition';
import { fileName } from '../file-name.ts';
import type { ExportQuery } from './query.ts';

/** What an export is as a file: its type and its name, `<taskId>-<UTC date>.<extension>`. */
export function exportHeaders({ format, gzip }: ExportQuery, { task, now }: FileOptions): Record<string, string> {
  const { type, extension } = FILES[format];
  const name = `${fileName(task)}-${new Date(now).toISOString().slice(0, 10)}.${extension}${gzip ? '.gz' : ''}`;
  return { 'content-type': gzip ? GZIP_TYPE : type, 'content-disposition': create(name) };
}

export interface FileOptions {
  task: string;
  /** ms since 1970. */
  now: number;
}

const GZIP_TYPE = 'application/gzip';
const FILES: Record<ExportQuery['format'], { type: string; extension: string }> = {
  json: { type: 'application/json; charset=utf-8', extension: 'json' },
  ndjson: { type: 'application/x-ndjson; charset=utf-8', extension: 'ndjson' },
  csv: { type: 'text/csv; charset=utf-8; header=present', extension: 'csv' },
  txt: { type: 'text/plain; charset=utf-8', extension: 'txt' },
  plain: { type: 'text/plain; charset=utf-8', extension: 'txt' },
};

/** Without their parameters, each once. */
export const EXPORT_TYPES = [...new Set(Object.values(FILES).map(({ type }) => type.split(';')[0])), GZIP_TYPE];
