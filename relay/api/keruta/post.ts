import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import type { Reader } from '../../reader.ts';
import { timeOf } from '../../senders/line-of.ts';
import { readPosted } from '../../senders/posted-lines.ts';
import type { Written } from '../../senders/sender.ts';
import type { Senders } from '../../senders/senders.ts';
import { CANCELLED } from '../../senders/sent-run.ts';
import { readStatus } from '../../senders/task-status.ts';
import type { Store } from '../../store/store.ts';
import { iso } from '../iso.ts';
import { describeOnly } from '../openapi.ts';
import { requireOn } from '../permission.ts';
import { POST_LOGS, PUT_STATUS } from './post-schemas.ts';
import { readBody, readIdempotence, readTaskId, takeBytes } from './post-request.ts';
import { taskNotFound } from './routes-request.ts';
import { runJson, taskJson } from './shape.ts';

export interface WriteParts {
  store: Pick<Store, 'read'>;
  reader: Reader;
  senders: Senders;
  /** Agents on the link, who can be asked to stop. */
  agents: { cancel(task: string, reason: string): void };
}

/** Registers what senders of JSON write with, under the prefix that `app` has. */
export function registerWriteRoutes(app: FastifyInstance, parts: WriteParts): void {
  app.register((scope, _options, done) => {
    describeOnly(scope);
    takeBytes(scope);
    scope.post('/tasks/:taskId/logs', { schema: POST_LOGS }, async (request, reply) => {
      return reply.code(201).send(await postLogs(request, parts));
    });
    scope.put('/tasks/:taskId/status', { schema: PUT_STATUS }, (request) => putStatus(request, parts));
    done();
  });
}

/** Stores what a request brings, all of it or nothing, and answers when it is durable. */
async function postLogs(request: FastifyRequest, { reader, senders, store }: WriteParts): Promise<object> {
  const task = readTaskId(request);
  const { caller } = request;
  await requireOn(caller.principal, { scope: 'ingest', task, reader });
  const idempotence = readIdempotence(request);
  const { bytes, type } = readBody(request);
  const { lines, single } = readPosted(bytes, type, senders.now());
  if (lines.length === 0) return { accepted: 0 };

  const release = senders.take(bytes.length);
  try {
    senders.limits.task(caller.principal, task);
    const from = { address: caller.address, task, principal: caller.principal };
    senders.limits.admitLines(from, lines.length, bytes.length);
    let written: Written;
    if (idempotence === undefined) written = await senders.posts.write(task, lines, caller);
    else if ('key' in idempotence) {
      written = await senders.keyed.write(task, { key: idempotence.key, body: bytes, lines, caller });
    } else written = await senders.posts.writeAt(task, { ...idempotence, lines, caller });

    if (!single) return { accepted: lines.length };
    // The first one of a list of one: what it was stored as, if that was earlier.
    const line = written.firstLine;
    const time = written.again === true && line > 0 ? await timeOf(store, { task, line }) : undefined;
    const id = reader.cursors()(Math.max(1, line));
    return { id, taskId: task, timestamp: iso(time ?? lines[0].time), success: true };
  } catch (error) {
    throw senders.failed(error);
  } finally {
    release();
  }
}

/** Notes what somebody says of a task, and answers with the task. */
async function putStatus(request: FastifyRequest, { reader, senders, agents }: WriteParts): Promise<object> {
  const task = readTaskId(request);
  const { caller } = request;
  await requireOn(caller.principal, { scope: 'ingest', task, reader });
  const { bytes, type } = readBody(request);
  if (type !== 'json') throw new KerutaError('INVALID_INPUT', 'A status is sent as application/json.');
  const update = readStatus(parseJson(bytes));
  senders.admit();
  try {
    senders.limits.task(caller.principal, task);
    await senders.posts.status(task, update, caller);
  } catch (error) {
    throw senders.failed(error);
  }
  if (update.effect === CANCELLED) {
    const reason = update.note.message ?? 'The task was cancelled.';
    agents.cancel(task, reason);
    senders.cancel(task, reason);
  }
  const record = await reader.task(task);
  if (record === undefined) throw taskNotFound(task);
  return { ...taskJson(record), runs: (await reader.runs(task)).map(runJson) };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new KerutaError('INVALID_INPUT', 'The body is not JSON.', { cause: error });
  }
}
