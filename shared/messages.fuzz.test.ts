import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hostileJson } from '../test/fuzz/hostile-json.ts';
import { hunt } from '../test/fuzz/hunt.ts';
import { mutations } from '../test/fuzz/mutations.ts';
import { parseAgentMessage } from './agent-message.ts';
import { cursorWriter, decodeCursor, decodePosition, positionWriter } from './cursor.ts';
import { encodeLinkFrame, LinkFrameReader } from './link-frames.ts';
import { parseRelayMessage } from './relay-message.ts';
import { taskIdProblem } from './task-id.ts';
import { isUlid } from './ulid.ts';
import { MAX_TEXT_CHARACTERS } from './wire.ts';

const RUN = '01JDVZ5W3HXJ4B8Q2Q5S7Y9ZAB';
const DIGEST = '0'.repeat(32);

const AGENT = [
  {
    ...{ type: 'hello', run: RUN, epoch: 'e', ackedSeq: 3, pipelineId: 'p', workerId: 'w', taskName: 'n' },
    ...{ labels: { a: 'b' }, command: 'make all', agentVersion: '1', startedAt: 5 },
  },
  { type: 'progress', nextSeq: 7 },
  {
    ...{ type: 'end', exitCode: 0, signal: null, reason: 'exited', nextSeq: 3, lines: 3, bytes: 9 },
    ...{ digest: DIGEST, endedAt: 8 },
  },
];
const RELAY = [
  { type: 'ready', epoch: 'e', nextSeq: 3, digest: DIGEST, windowBytes: 1000 },
  { type: 'ack', nextSeq: 3 },
  { type: 'refused', nextSeq: 3, reason: 'invalid', message: 'no' },
  { type: 'verified', nextSeq: 3 },
  { type: 'unverified', nextSeq: 3, digest: DIGEST },
  { type: 'cancel', reason: 'r' },
  { type: 'drain', retryAfterMs: 3 },
];

describe('what is said on an agent’s link', () => {
  for (const [who, good, parse] of [
    ['an agent', AGENT, parseAgentMessage],
    ['a relay', RELAY, parseRelayMessage],
  ] as const) {
    test(`by ${who} is taken as it is, or refused in a sentence`, () => {
      for (const message of good) assert.deepEqual({ ...parse(JSON.stringify(message)) }, message);
      fc.assert(
        fc.property(hostileJson(good), (text) => {
          let read;
          try {
            read = parse(text);
          } catch (error) {
            assert.match((error as Error).message, /^bad message: /);
            return;
          }
          const given = JSON.parse(text) as Record<string, unknown>;
          for (const [name, value] of Object.entries(read)) {
            if (!Object.hasOwn(good.find(({ type }) => type === read.type) ?? {}, name)) continue;
            assert.deepEqual(value, given[name]);
            if (typeof value === 'number') assert.ok(Number.isSafeInteger(value));
            if (typeof value === 'string' && name !== 'command') assert.ok(value.length <= MAX_TEXT_CHARACTERS);
          }
          if ('run' in read) assert.ok(isUlid(read.run));
        }),
        hunt(1500),
      );
    });
  }
});

describe('frames of a link over HTTP', () => {
  const payload = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  );
  const frames = fc.array(payload, { minLength: 1, maxLength: 6 });

  test('are found as they were written, however they are cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 8 }), (given, cuts) => {
        const body = Buffer.concat(given.flatMap(encodeLinkFrame));
        assert.deepEqual(
          readFrames(parts(body, cuts), 100),
          given.map((one) => `${typeof one === 'string' ? 'text' : 'binary'} ${Buffer.from(one).toString('hex')}`),
        );
      }),
      hunt(1000),
    );
  });

  test('that were changed are frames, or refused in a sentence, and the same however they are cut', () => {
    const golden = Buffer.concat(['{"type":"progress","nextSeq":3}', Buffer.alloc(60, 7), ''].flatMap(encodeLinkFrame));
    fc.assert(
      fc.property(mutations([golden]), fc.array(fc.nat(), { maxLength: 8 }), (mutate, cuts) => {
        const body = mutate(golden);
        const whole = outcome(() => readFrames([body], 80));
        if (typeof whole === 'string') assert.match(whole, /^bad frame: /);
        assert.deepEqual(
          outcome(() => readFrames(parts(body, cuts), 80)),
          whole,
        );
      }),
      hunt(2000),
    );
  });
});

describe('any text', () => {
  const epoch = fc.stringMatching(/^[\w.-]{1,40}$/);
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ maxLength: 60 }).map((text) => Buffer.from(text).toString('base64url')),
    fc
      .tuple(epoch, fc.string({ maxLength: 20 }))
      .map(([of, rest]) => Buffer.from(`${of}.${rest}`).toString('base64url')),
    fc.tuple(epoch, fc.maxSafeNat()).map(([of, line]) => cursorWriter(of)(line)),
    fc.tuple(epoch, fc.maxSafeNat()).map(([of, position]) => positionWriter(of)(position)),
  );

  test('is a cursor of a line, or of a position, or none, and a cursor is read as it was written', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const [line, position] = [decodeCursor(text), decodePosition(text)];
        if (line !== undefined) {
          assert.ok(Number.isSafeInteger(line.line) && line.line >= 0);
          assert.deepEqual(decodeCursor(cursorWriter(line.epoch)(line.line)), line);
        }
        if (position !== undefined) assert.ok(Number.isSafeInteger(position.position) && position.position >= 0);
      }),
      hunt(4000),
    );
    fc.assert(
      fc.property(epoch, fc.maxSafeNat(), (of, number) => {
        assert.deepEqual(decodeCursor(cursorWriter(of)(number)), { epoch: of, line: number });
        assert.deepEqual(decodePosition(positionWriter(of)(number)), { epoch: of, position: number });
      }),
      hunt(500),
    );
  });

  test('is a task id that can be put into a URL and be had back, or none, for a reason', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const problem = taskIdProblem(text);
        if (problem !== undefined) {
          assert.notEqual(problem, '');
          return;
        }
        const url = new URL(`http://relay/tasks/${encodeURIComponent(text)}/logs`);
        assert.equal(decodeURIComponent(url.pathname.split('/')[2]), text);
        assert.equal(Buffer.from(text).toString(), text);
      }),
      hunt(3000),
    );
  });
});

function readFrames(pieces: readonly Buffer[], maxBytes: number): string[] {
  const reader = new LinkFrameReader(maxBytes);
  const found: string[] = [];
  for (const piece of pieces)
    for (const { kind, payload } of reader.push(piece)) {
      assert.ok(payload.length <= maxBytes);
      found.push(`${kind} ${payload.toString('hex')}`);
    }
  reader.end();
  return found;
}

function parts(body: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((at) => at % (body.length + 1)).sort((a, b) => a - b), body.length];
  return places.slice(1).map((end, index) => body.subarray(places[index], end));
}

/** What it returns, or the message of what it throws. */
function outcome<T>(run: () => T): T | string {
  try {
    return run();
  } catch (error) {
    return (error as Error).message;
  }
}
