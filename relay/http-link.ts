import type { FastifyInstance, FastifyReply } from 'fastify';
import { MAX_CHUNK_BYTES } from '../shared/chunk.ts';
import { KerutaError } from '../shared/errors.ts';
import { LINK_CONTENT_TYPE, LinkFrameReader } from '../shared/link-frames.ts';
import { taskIdProblem } from '../shared/task-id.ts';
import { MAX_CONTROL_BYTES } from '../shared/wire.ts';
import './auth/http.ts';
import {
  HttpLinkSessions,
  type HttpLinkAgents,
  type HttpLinkLimits,
  type HttpLinkSession,
} from './http-link-sessions.ts';

/**
 * The agent's link over HTTP (shared/wire.ts), for agents behind a proxy that lets no WebSocket through. What a request
 * brings goes the way of what comes over a WebSocket: `HttpLinkSocket` stands for one.
 */
export function registerHttpLink(api: FastifyInstance, options: HttpLinkOptions): void {
  const sessions = new HttpLinkSessions(options);
  api.register((scope, _options, done) => {
    scope.addHook('onClose', () => sessions.stop());
    // Who writes messages checks them, and names what is wrong with them.
    scope.removeContentTypeParser('application/json');
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, parsed) => {
      parsed(null, body);
    });
    scope.addContentTypeParser(LINK_CONTENT_TYPE, (_request, payload, parsed) => {
      parsed(null, payload);
    });

    scope.post<{ Params: TaskPath }>(
      '/tasks/:taskId/link',
      { ...HIDDEN, bodyLimit: MAX_CONTROL_BYTES },
      async (request, reply) => {
        const { taskId: task } = request.params;
        const problem = taskIdProblem(task);
        if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
        if (typeof request.body !== 'string')
          throw new KerutaError('INVALID_INPUT', 'A hello is wanted, as application/json.');
        request.caller.principal.requireIfLabelled('ingest', task);
        const key = request.headers['idempotency-key'];
        if (key !== undefined && !(typeof key === 'string' && KEY.test(key)))
          throw new KerutaError('INVALID_INPUT', 'The Idempotency-Key is none.');
        const { id, messages } = await sessions.open(request.caller, task, request.body, key);
        return sendJson(reply.code(201), `{"session":"${id}","messages":[${messages.join(',')}]}`);
      },
    );

    scope.post<{ Params: SessionPath }>('/tasks/:taskId/link/:session', HIDDEN, async (request, reply) => {
      const session = sessions.find(request.caller, request.params);
      const messages = await session.exchange((socket) => feed(socket, request.body));
      return sendJson(reply, `[${messages.join(',')}]`);
    });

    scope.delete<{ Params: SessionPath }>('/tasks/:taskId/link/:session', HIDDEN, async (request, reply) => {
      sessions.find(request.caller, request.params).close();
      return reply.code(204).send();
    });
    done();
  });
}

export interface HttpLinkOptions {
  agents: HttpLinkAgents;
  /** No limits if absent. */
  limits?: HttpLinkLimits;
}

interface TaskPath {
  taskId: string;
}

interface SessionPath extends TaskPath {
  session: string;
}

/** Passes on the frames of a body as they come, no faster than they are wanted. An empty request has none. */
async function feed(socket: HttpLinkSession['socket'], body: unknown): Promise<void> {
  if (body === undefined || body === null) return;
  if (typeof body === 'string') throw new KerutaError('INVALID_INPUT', `Frames are wanted, as ${LINK_CONTENT_TYPE}.`);
  const reader = new LinkFrameReader(MAX_FRAME_BYTES);
  try {
    for await (const bytes of body as AsyncIterable<Buffer>) {
      for (const { kind, payload } of reader.push(bytes)) await socket.receive(payload, kind === 'binary');
    }
    reader.end();
  } catch (error) {
    throw new KerutaError('INVALID_INPUT', (error as Error).message, { cause: error });
  }
}

function sendJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').header('cache-control', 'no-store').send(json);
}

/** Between our own programs, and so not described to others; counted as the connection that they stand for. */
const HIDDEN = { schema: { hide: true }, config: { counted: false } };
const KEY = /^[\w-]{1,64}$/;
/** As for a WebSocket's frames: a chunk that is a little too long is refused by its number. */
const MAX_FRAME_BYTES = MAX_CHUNK_BYTES + 64 * 1024;
