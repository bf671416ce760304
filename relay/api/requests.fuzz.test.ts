import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodeLines, type LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import { hostileJson, hostileValue } from '../../test/fuzz/hostile-json.ts';
import { hunt } from '../../test/fuzz/hunt.ts';
import { mutations } from '../../test/fuzz/mutations.ts';
import { readEntry } from '../senders/log-entry.ts';
import { readPosted } from '../senders/posted-lines.ts';
import { readStatus } from '../senders/task-status.ts';
import { readBefore, readExportQuery, readLogsQuery, readPipelinesQuery, readTasksQuery } from './keruta/query.ts';
import { readRequest, readSubscribe, subscriptionIn } from './keruta/subscribe.ts';
import { queryFilter } from './otto/filter.ts';
import { FrameCutter, frameOf } from './otto/grpc/frames.ts';
import * as otto from './otto/socket-io/requests.ts';
import { askedPlace, readDay, readPaging, readType } from './stratal/query.ts';

const RUN = '01JDVZ5W3HXJ4B8Q2Q5S7Y9ZAB';
const ENTRY = { level: 'INFO', message: 'm', source: 'stdout', timestamp: '2026-01-02T03:04:05Z', metadata: { a: 1 } };
const OPTIONS = {
  ...{ sources: ['stdout'], levels: ['warn'], realtime: true, from: 'start', after: 'abc', tail: 5, q: 'x' },
  ...{ regex: 'a+', since: 5, until: '2026-01-02', runs: [RUN], workers: ['w'], meta: { a: 1 }, batch: true },
  expectRuns: 2,
};

/** Each throws a KerutaError that names what is wrong, never anything else. */
const readers: [what: string, good: object[], read: (json: unknown) => unknown][] = [
  ['a log entry', [ENTRY], (json) => readEntry(json, { now: 1 })],
  ['a status', [{ status: 'RUNNING', message: 'm', progress: 5, errorCode: 'E' }], (json) => readStatus(json)],
  ['the options of a subscription', [OPTIONS, { tail: 3 }], (json) => readSubscribe(json, { taskId: 't' })],
  ['those of a merged one', [OPTIONS, { from: 'now' }], (json) => readSubscribe(json, { all: true })],
  [
    'a subscription of Otto’s',
    [
      { taskId: 't', filter: { levels: ['ERROR'] }, cursor: 'c' },
      { taskId: 't', from: 5 },
    ],
    (json) => [otto.readSubscribe, otto.readTask, otto.readPipeline, otto.readFilterUpdate].map((read) => read(json)),
  ],
];

describe('JSON of any kind is read, or refused in a sentence that names the mistake', () => {
  for (const [what, good, read] of readers) {
    test(what, () => {
      fc.assert(
        fc.property(hostileJson(good), (text) => {
          const json = parsed(text);
          orRefused(() => read(json));
        }),
        hunt(500),
      );
    });
  }

  test('a message of a viewer', () => {
    const good = [
      { type: 'subscribe', subscription: 's', taskId: 't', options: OPTIONS },
      { type: 'subscribe', subscription: 's', pipelineId: 'p' },
      { type: 'subscribe', subscription: 's', all: true },
      { type: 'unsubscribe', subscription: 's', taskId: 't' },
      { type: 'auth', token: 'x' },
      { type: 'log', taskId: 't', ...ENTRY },
      { type: 'log', log: ENTRY },
      { type: 'status', taskId: 't', status: 'RUNNING' },
    ];
    fc.assert(
      fc.property(hostileJson(good), (text) => {
        subscriptionIn(text);
        orRefused(() => {
          const request = readRequest(text);
          if (request.type === 'subscribe') readSubscribe(request.options, request.target ?? { taskId: 't' });
        });
      }),
      hunt(1000),
    );
  });

  test('a posted body, as lines that a chunk can hold', () => {
    const golden = [
      JSON.stringify([ENTRY, ENTRY]),
      `${JSON.stringify(ENTRY)}\n\n${JSON.stringify(ENTRY)}`,
      'a\r\nb',
    ].map((text) => Buffer.from(text));
    const body = fc.oneof(
      fc.tuple(fc.constantFrom(...golden), mutations(golden)).map(([bytes, mutate]) => mutate(bytes)),
      hostileJson([ENTRY]).map((text) => Buffer.from(`[${text}]`)),
    );
    fc.assert(
      fc.property(body, fc.constantFrom('json', 'ndjson', 'text'), (bytes, type) => {
        const posted = orRefused(() => readPosted(bytes, type, 5));
        if (posted === undefined || posted.lines.length === 0) return;
        encodeLines(RUN, 0, posted.lines);
        if (type === 'text') assert.deepEqual(Buffer.concat(posted.lines.map(bytesOf)), bytes);
      }),
      hunt(2000),
    );
  });
});

test('any query string is read, or refused in a sentence that names the mistake', () => {
  const names = [
    ...['level', 'source', 'from', 'to', 'q', 'regex', 'run', 'worker', 'meta.a', 'meta.', 'meta.a.b', 'page', 'size'],
    ...['order', 'context', 'after', 'before', 'format', 'plain', 'gzip', 'status', 'label', 'pipelineId', 'since'],
    ...[
      'levels',
      'startTime',
      'keyword',
      'workerIds',
      'taskIds',
      'limit',
      'offset',
      'tail',
      '__proto__',
      'constructor',
    ],
  ];
  const value = fc.oneof(
    fc.constantFrom(
      '',
      '1',
      '-1',
      '1e999',
      'ERROR',
      'stdout,stderr',
      RUN,
      'asc',
      'true',
      'a:b',
      ':',
      '(',
      '2026-01-02',
    ),
    fc.constantFrom('2026-13-01T00:00', '2026-01-02T03:04:05 02:00', '0000-01-01', '\ud800', '%', 'a\u0000b'),
    fc.string({ maxLength: 10 }),
    hostileValue.filter((one) => typeof one === 'string'),
  );
  const query = fc.array(fc.tuple(fc.constantFrom(...names), fc.oneof(value, fc.array(value, { maxLength: 3 }))), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(query, (pairs) => {
      // As the relay's parser makes it: an object without a prototype.
      const given = Object.assign(Object.create(null) as Record<string, string | string[]>, Object.fromEntries(pairs));
      for (const read of [readLogsQuery, readExportQuery, readTasksQuery, readPipelinesQuery, readBefore])
        orRefused(() => read(given));
      for (const read of [askedPlace, readPaging]) orRefused(() => read(given));
      for (const text of Object.values(given).flat())
        for (const read of [readType, readDay]) orRefused(() => read(text));
      orRefused(() => queryFilter(given).on('t'));
    }),
    hunt(4000),
  );
});

describe('gRPC frames', () => {
  const golden = Buffer.concat([Buffer.from('first'), Buffer.alloc(0), Buffer.alloc(90, 1)].map(frameOf));

  test('that were changed are messages of at most the limit, the same however they are cut', () => {
    fc.assert(
      fc.property(mutations([golden]), fc.array(fc.nat(), { maxLength: 8 }), (mutate, cuts) => {
        const bytes = mutate(golden);
        const places = [0, ...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const parts = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        assert.deepEqual(messagesOf(parts), messagesOf([bytes]));
      }),
      hunt(2000),
    );
  });
});

function messagesOf(parts: readonly Buffer[]): string[] {
  const cutter = new FrameCutter(64);
  const found: string[] = [];
  for (const part of parts)
    for (const frame of cutter.cut(part)) {
      if ('tooLarge' in frame) {
        assert.ok(frame.tooLarge > 64);
        found.push(`${frame.tooLarge} is too large`);
      } else {
        assert.ok(frame.bytes.length <= 64);
        found.push(`${frame.compressed} ${frame.bytes.toString('hex')}`);
      }
    }
  return [...found, `within ${cutter.within}`];
}

/** What is read, or undefined if that is refused as it has to be: what the other side did wrong, in a sentence. */
function orRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KerutaError)) throw error;
    assert.match(error.code, /^(INVALID_|TOO_LARGE)/);
    assert.match(error.message, /\w+ \w+/);
    return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A line of text as it stood in the body. */
function bytesOf({ kind, text }: LineInput): Buffer {
  const end = (kind & 0x80) !== 0 ? '' : (kind & 0x40) !== 0 ? '\r\n' : '\n';
  return Buffer.concat([text, Buffer.from(end)]);
}
