import type { FastifyInstance } from 'fastify';
import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { Reader } from '../../reader.ts';
import type { TaskRecord } from '../../store/store.ts';
import { begun, streamOf } from '../routes-parts.ts';
import { untilAborted, untilGone } from '../until-gone.ts';
import { exportHeaders } from './export-file.ts';
import { jsonExport, ndjsonExport } from './export-json.ts';
import { plainExport } from './export-plain.ts';
import { csvExport, textExport } from './export-table.ts';
import { exportParts, type ExportWriter } from './export.ts';
import { readExportQuery, type ExportFormat } from './query.ts';
import { EXPORT_LOGS } from './routes-export-schemas.ts';
import { permittedTask, type RouteParts, type TaskRoute } from './routes-request.ts';

export function addExportRoutes(app: FastifyInstance, { reader }: RouteParts): void {
  const path = '/tasks/:taskId/logs/export';
  app.get<TaskRoute>(path, { schema: EXPORT_LOGS, exposeHeadRoute: false }, async (request, reply) => {
    const signal = untilGone(reply);
    const task = await permittedTask(request, { reader, scope: 'read' });
    const query = readExportQuery(request.query);
    const batches = reader.stream(task, { filter: query.filter, signal });
    const writer = writerOf(query.format, { task, reader });
    const parts = await begun(untilAborted(exportParts(batches, writer), reply));
    reply.headers(exportHeaders(query, { task: task.task, now: Date.now() }));
    const stream = streamOf(parts);
    return reply.send(query.gzip ? compressed(stream) : stream);
  });

  // The framework's own would read the whole log only to drop it.
  app.head<TaskRoute>(path, { schema: { hide: true } }, async (request, reply) => {
    const task = await permittedTask(request, { reader, scope: 'read' });
    const query = readExportQuery(request.query);
    reply.headers(exportHeaders(query, { task: task.task, now: Date.now() }));
    return reply.send(Readable.from([]));
  });
}

function writerOf(format: ExportFormat, { task, reader }: { task: TaskRecord; reader: Reader }): ExportWriter {
  switch (format) {
    case 'json':
      return jsonExport(reader.cursors());
    case 'ndjson':
      return ndjsonExport(reader.cursors());
    case 'csv':
      return csvExport(task.createdAt);
    case 'txt':
      return textExport(task.createdAt);
    case 'plain':
      return plainExport();
  }
}

function compressed(stream: Readable): Readable {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  // A failure of the one ends the other; whoever reads `gzip` hears of it there.
  pipeline(stream, gzip, () => undefined);
  return gzip;
}
