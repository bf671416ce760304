import type { FastifyInstance } from 'fastify';
import { create } from 'content-disposition';
import { Readable } from 'node:stream';
import { compileFilter } from '../../filter.ts';
import { fileName } from '../file-name.ts';
import { readableTasks } from '../permission.ts';
import { begun, streamOf } from '../routes-parts.ts';
import { untilAborted, untilGone } from '../until-gone.ts';
import { downloadParts } from './download.ts';
import type { StratalParts } from './parts.ts';
import { first, readDay, type Query } from './query.ts';
import { idOf, type IdRoute } from './routes-logs.ts';
import { DOWNLOAD_LOGS } from './schemas.ts';

/** A job run's log as a text, of one UTC day or whole. */
export function addDownloadRoutes(app: FastifyInstance, { merged, now }: StratalParts): void {
  const path = '/logs/job-runs/:id/download';
  app.get<IdRoute>(path, { schema: DOWNLOAD_LOGS, exposeHeadRoute: false }, async (request, reply) => {
    const signal = untilGone(reply);
    const may = readableTasks(request.caller.principal);
    const { group, date, filter } = readDownload(request);
    const batches = merged.follow({ group, from: await merged.place('start'), filter, may, untilHead: true, signal });
    const parts = await begun(untilAborted(downloadParts(batches, now), reply));
    return reply.headers(headersOf(group, date)).send(streamOf(parts));
  });

  // The framework's own would read the whole log only to drop it.
  app.head<IdRoute>(path, { schema: { hide: true } }, (request, reply) => {
    readableTasks(request.caller.principal);
    const { group, date } = readDownload(request);
    return reply.headers(headersOf(group, date)).send(Readable.from([]));
  });
}

function readDownload(request: { params: { id: string }; query: Query }): Download {
  const group = idOf(request, 'job_run_id');
  const date = first(request.query, 'date');
  return { group, date, filter: compileFilter(date === undefined ? {} : readDay(date)) };
}

interface Download {
  group: string;
  date: string | undefined;
  filter: ReturnType<typeof compileFilter>;
}

function headersOf(group: string, date: string | undefined): Record<string, string> {
  const name = `${fileName(group)}${date === undefined ? '' : `-${date}`}.txt`;
  // In quotes, as Stratal writes it; names in other scripts need more than that.
  const disposition = /^[\w.-]+$/.test(name) ? `attachment; filename="${name}"` : create(name);
  return { 'content-type': 'text/plain; charset=utf-8', 'content-disposition': disposition };
}
