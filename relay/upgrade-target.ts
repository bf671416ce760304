import type { IncomingMessage } from 'node:http';
import { KerutaError } from '../shared/errors.ts';
import { taskIdProblem } from '../shared/task-id.ts';
import { VIEW_SUBPROTOCOL } from '../shared/viewer-messages.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';

/** What a request for a WebSocket wants. A viewer may say later which tasks it is about. */
export type Target = { kind: 'agent'; task: string } | { kind: 'viewer'; task?: string } | { kind: 'nested' };

/** What a path and its subprotocols ask for. Throws a KerutaError for what is not here. */
export function targetOf(request: IncomingMessage): Target {
  // No browser is an agent.
  if (offered(request).some(isChunkProtocol) && request.headers.origin !== undefined) {
    throw new KerutaError('FORBIDDEN', 'No web page may connect as an agent.');
  }
  const path = (request.url ?? '').split('?', 1)[0];
  if (/^\/ws\/agent\/?$/.test(path)) return { kind: 'nested' };
  if (/^\/ws\/?$/.test(path)) {
    if (offered(request).includes(VIEW_SUBPROTOCOL)) return { kind: 'viewer' };
    // It would wait for lines that nobody has asked for.
    const message = `/ws wants the subprotocol ${VIEW_SUBPROTOCOL}; without it, connect to /ws/tasks/{taskId}.`;
    throw new KerutaError('INVALID_INPUT', message);
  }
  return { kind: wantsChunks(request) ? 'agent' : 'viewer', task: taskOf(path) };
}

function taskOf(path: string): string {
  const encoded = /^\/ws\/tasks\/([^/]*)\/?$/.exec(path)?.[1];
  if (encoded === undefined)
    throw new KerutaError(
      'NOT_FOUND',
      'There is no WebSocket here; they are at /ws/tasks/{taskId}, /ws and /ws/agent.',
    );
  let task: string;
  try {
    task = decodeURIComponent(encoded);
  } catch {
    throw new KerutaError('INVALID_INPUT', 'The task id in the path is not well encoded.');
  }
  const problem = taskIdProblem(task);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
  return task;
}

/** Whether an agent asks. Throws a KerutaError if it speaks only versions that we don't. */
function wantsChunks(request: IncomingMessage): boolean {
  const protocols = offered(request);
  if (protocols.includes(SUBPROTOCOL)) return true;
  const foreign = protocols.filter(isChunkProtocol);
  if (foreign.length === 0) return false;
  throw new KerutaError(
    'UNSUPPORTED_PROTOCOL',
    `The agent speaks ${foreign.join(', ')}; this relay speaks ${SUBPROTOCOL}.`,
  );
}

function offered({ headers }: IncomingMessage): string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
}

function isChunkProtocol(protocol: string): boolean {
  return protocol.startsWith('keruta.chunk.');
}
