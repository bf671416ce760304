import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { ServerInterceptingCallInterface, ServerMethodDefinition } from '@grpc/grpc-js';
import { inflated, Wires } from './wire.ts';

const METHOD = { path: '/p', requestStream: true } as ServerMethodDefinition<unknown, unknown>;

const BUILDS: { what: string; call: object }[] = [
  { what: 'no stream', call: { incomingEncoding: 'identity' } },
  { what: 'no encoding', call: { stream: new PassThrough().on('data', () => undefined) } },
  { what: 'a stream that nobody reads', call: { stream: new PassThrough(), incomingEncoding: 'identity' } },
];

for (const { what, call } of BUILDS) {
  test(`a grpc-js whose calls have ${what} serves nothing, and says why`, () => {
    const logged: unknown[] = [];
    const answered: unknown[] = [];
    const log = { error: (message: unknown) => logged.push(message) } as never;
    const sendStatus = (status: unknown): void => void answered.push(status);
    new Wires({ log }).interceptor(METHOD, { ...call, sendStatus } as unknown as ServerInterceptingCallInterface);
    const details =
      'gRPC is not served: this version of @grpc/grpc-js keeps its streams otherwise than 1.14.7; install that one.';
    assert.deepEqual([logged, answered], [[details], [{ code: 13, details }]]);
  });
}

for (const encoding of ['br', 'identity', 'constructor', 'toString']) {
  test(`a message that is compressed with ${encoding} is not taken`, async () => {
    await assert.rejects(inflated(Buffer.from('x'), { encoding, maxBytes: 10 }), {
      code: 'INVALID_INPUT',
      message: `The message is compressed with "${encoding}", not with gzip`,
    });
  });
}
