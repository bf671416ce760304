import type { FastifyInstance } from 'fastify';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';

/**
 * Compresses answers of JSON for clients who take gzip, on the thread pool. What is sent as a stream stays as it is: an
 * export that asks for `gzip` is a compressed file, and a page of that size is read faster than it is compressed.
 */
export function addCompression(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (typeof payload !== 'string' || payload.length < MIN_CHARACTERS) return payload;
    if (!isJson(reply.getHeader('content-type')) || reply.hasHeader('content-encoding')) return payload;
    const vary = reply.getHeader('vary');
    reply.header('vary', vary === undefined ? 'Accept-Encoding' : `${String(vary)}, Accept-Encoding`);
    if (!takesGzip(request.headers['accept-encoding'])) return payload;
    const compressed = await compress(payload, OPTIONS);
    reply.header('content-encoding', 'gzip').removeHeader('content-length');
    return compressed;
  });
}

/** Whether an Accept-Encoding lets gzip through: by its name or by `*`, and not with a weight of 0. */
export function takesGzip(accepted: string | string[] | undefined): boolean {
  const weights = new Map<string, number>();
  for (const part of [accepted ?? ''].flat().join(',').toLowerCase().split(',')) {
    const [coding, ...parameters] = part.split(';').map((text) => text.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    weights.set(coding, weight === undefined ? 1 : Number(weight.slice('q='.length)));
  }
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}

function isJson(type: unknown): boolean {
  return typeof type === 'string' && type.startsWith('application/json');
}

const compress = promisify(gzip);
/** Logs shrink to a tenth at any level; the lowest is the fastest. */
const OPTIONS = { level: constants.Z_BEST_SPEED };
/** Below, an answer fits into one packet anyway. */
const MIN_CHARACTERS = 1024;
