import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import { taskIdProblem } from '../../../shared/task-id.ts';
import type { Filter } from '../../filter.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import { requireOn } from '../permission.ts';
import type { SseStreams } from '../sse.ts';
import { ottoError } from './errors.ts';
import { queryFilter } from './filter.ts';
import { taskLog, wholeLog, type LogSource } from './log-source.ts';
import type { OttoParts } from './parts.ts';
import { batchFrames } from './sse-frames.ts';
import { STREAM_ALL, STREAM_TASK } from './sse-schemas.ts';
import { beat, complete, errorEvent, review, serveStream, type OttoClient } from './sse-stream.ts';
import { endedId, readStart, readUnnamed, type Start, type StreamQuery } from './stream-query.ts';

/** Logs as streams of events: of a task, by both of its names, and of everything. */
export function addLogStreams(app: FastifyInstance, parts: LogStreamParts): void {
  const ofTask = async (request: FastifyRequest<TaskStream>, reply: FastifyReply): Promise<FastifyReply> => {
    const { taskId: task } = request.params;
    const problem = taskIdProblem(task);
    if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
    // The labels of a task may change while it is read.
    const check = (): Promise<void> =>
      requireOn(request.caller.principal, { scope: 'read', task, reader: parts.reader });
    await check();
    const filter = queryFilter(request.query).on(task);
    return streamLog(parts, { request, reply, source: taskLog(parts, task), filter, check });
  };
  app.get<TaskStream>('/log-streaming/logs/:taskId/stream', { schema: STREAM_TASK }, ofTask);
  app.get<TaskStream>('/log-streaming/stream/:taskId', { schema: STREAM_TASK }, ofTask);

  app.get<AllStream>('/log-streaming/stream', { schema: STREAM_ALL }, async (request, reply) => {
    const { principal } = request.caller;
    if (!principal.has('read')) throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
    const filter = queryFilter(request.query);
    const may = ({ task, labels }: TaskFacts): boolean =>
      filter.showsTask(task) && principal.may('read', { task, labels });
    return streamLog(parts, { request, reply, source: wholeLog(parts, may), filter: filter.onAll() });
  });
}

export interface LogStreamParts extends Pick<OttoParts, 'reader' | 'merged' | 'runFacts' | 'meter' | 'log' | 'now'> {
  streams: SseStreams;
}

interface TaskStream {
  Params: { taskId: string };
  Querystring: StreamQuery;
}

interface AllStream {
  Querystring: StreamQuery;
}

interface StreamRequest {
  request: FastifyRequest<AllStream>;
  reply: FastifyReply;
  source: LogSource;
  filter: Filter;
  /** Rejects when it may not be read any more; absent where that is asked of each task. */
  check?: () => Promise<void>;
}

async function streamLog(
  parts: LogStreamParts,
  { request, reply, source, filter, check }: StreamRequest,
): Promise<FastifyReply> {
  const { query, headers, id: clientId } = request;
  const unnamed = readUnnamed(query);
  const start = await readStart(source, { query, lastEventId: headers['last-event-id']?.toString() });
  // Clients come back when a stream has ended. This tells those who have seen the end not to.
  if (await isAtEnd(parts, source.task, start)) return reply.code(204).send();

  const stream = parts.streams.open(request, reply, { task: source.task });
  const { meter, log, now } = parts;
  const client: OttoClient = { stream, clientId, meter, log, now };
  if (check !== undefined) review(client, check);
  await serveStream(client, async () => {
    if (start.problem !== undefined) await stream.write(errorEvent(ottoError(start.problem, { clientId, now: now() })));
    await writeLog(parts, client, { source, filter, unnamed, from: start.place });
  });
  return reply;
}

/** Whether nothing has come since a client was told that its task has ended. */
async function isAtEnd(
  { reader }: LogStreamParts,
  task: string | undefined,
  { place, endedRuns }: Start,
): Promise<boolean> {
  if (task === undefined || endedRuns === undefined) return false;
  const head = await reader.head(task);
  return head !== undefined && head.openRuns === 0 && head.runs === endedRuns && head.nextLine <= place;
}

async function writeLog(
  { reader }: LogStreamParts,
  client: OttoClient,
  { source, filter, unnamed, from }: { source: LogSource; filter: Filter; unnamed: boolean; from: number },
): Promise<void> {
  const { stream, now } = client;
  const at = { nextLine: from };
  const leave = source.task === undefined ? () => undefined : reader.followed.join(source.task, at);
  beat(client, () => source.cursors()(at.nextLine));
  try {
    const style = { source, unnamed, filterKey: filter.key };
    for await (const batch of source.follow({ from, filter, signal: stream.signal })) {
      const { parts, next } = batch;
      const frames = batchFrames(batch, style, now());
      const ended = parts.find((part) => part.type === 'end')?.task.runs;
      at.nextLine = next;
      if (frames.length > 0) await stream.write(frames.length === 1 ? frames[0] : Buffer.concat(frames));
      if (ended === undefined) continue;
      complete(client, { message: COMPLETE, id: endedId(source.cursors()(next), ended) });
      return;
    }
  } finally {
    leave();
  }
}

/** "The log stream is complete", as Otto says it. */
const COMPLETE = '로그 스트림이 완료되었습니다';
