import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import { taskIdProblem } from '../../../shared/task-id.ts';
import { isUlid } from '../../../shared/ulid.ts';
import type { BodyType } from '../../senders/posted-lines.ts';

/** What makes a request one that may be sent again without storing anything twice. */
export type Idempotence = { key: string } | { run: string; seq: number } | undefined;

/** Makes bodies come as the bytes that were sent, under `app` only; other types than ours are refused. */
export function takeBytes(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...BODY_TYPES.keys()], { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addContentTypeParser('*', (request, _payload, done) => done(wrongType(request.headers['content-type'])));
}

/** The task that the path names. Throws a KerutaError INVALID_INPUT for what can't be one, as all here do. */
export function readTaskId({ params }: FastifyRequest): string {
  const { taskId } = params as { taskId: string };
  const problem = taskIdProblem(taskId);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
  return taskId;
}

export function readBody({ body, headers }: FastifyRequest): { bytes: Buffer; type: BodyType } {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new KerutaError('INVALID_INPUT', `A body can't be sent as ${JSON.stringify(encoding)}.`);
  if (!Buffer.isBuffer(body)) throw new KerutaError('INVALID_INPUT', 'The request has no body.');
  const type = BODY_TYPES.get((headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase());
  if (type === undefined) throw wrongType(headers['content-type']);
  return { bytes: body, type };
}

export function readIdempotence({ headers, query }: FastifyRequest): Idempotence {
  const { run, seq } = query as Record<string, unknown>;
  const key = headers['idempotency-key'];
  if (run === undefined && seq === undefined) return key === undefined ? undefined : { key: readKey(key) };
  if (key !== undefined) throw new KerutaError('INVALID_INPUT', 'Give an Idempotency-Key, or run and seq; not both.');
  if (typeof run !== 'string' || !isUlid(run))
    throw new KerutaError('INVALID_INPUT', 'run must be a ULID, given once.');
  if (typeof seq !== 'string' || !/^\d{1,15}$/.test(seq) || Number(seq) > MAX_SEQ) {
    throw new KerutaError(
      'INVALID_INPUT',
      'seq must be the number of the first line in its run, from 0 on, given once.',
    );
  }
  return { run, seq: Number(seq) };
}

function readKey(key: string | string[]): string {
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new KerutaError('INVALID_INPUT', 'Idempotency-Key must have 1 to 255 visible ASCII characters.');
}

function wrongType(type: string | undefined): KerutaError {
  const given = type === undefined ? 'is missing' : `is ${JSON.stringify(type.slice(0, MAX_SHOWN_CHARACTERS))}`;
  return new KerutaError('INVALID_INPUT', `Content-Type ${given}; it may be ${[...BODY_TYPES.keys()].join(', ')}.`);
}

const BODY_TYPES = new Map<string, BodyType>([
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['text/plain', 'text'],
]);
const KEY = /^[\x21-\x7e]{1,255}$/;
/** What a chunk's header holds. */
const MAX_SEQ = 2 ** 47;
const MAX_SHOWN_CHARACTERS = 100;
