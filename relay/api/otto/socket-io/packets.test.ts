import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHUNK_HEADER_BYTES } from '../../../../shared/chunk.ts';
import { encodeLines } from '../../../../shared/columns.ts';
import { kindOf } from '../../../../shared/line.ts';
import { newUlid } from '../../../../shared/ulid.ts';
import { Block } from '../../../block.ts';
import type { LinesEvent } from '../../../cursor.ts';
import { linePackets, partsOf, type Style } from './packets.ts';

const style: Style = { filterKey: '', epoch: 'e', cursors: String, workerOf: () => ({ workerId: 'w1', labels: {} }) };

function blockOf(texts: readonly string[]): Block {
  const run = newUlid(0);
  const kind = kindOf('stdout', 'INFO');
  const bytes = encodeLines(
    run,
    0,
    texts.map((text) => ({ time: 0, kind, text: Buffer.from(text) })),
  );
  const place = { task: 't1', run, firstLine: 11, position: 11, count: texts.length };
  const [header, body] = [bytes.subarray(0, CHUNK_HEADER_BYTES), bytes.subarray(CHUNK_HEADER_BYTES)];
  return new Block({ kind: 'chunk', ...place, header, body });
}

function eventOf(texts: readonly string[], matches?: number[]): LinesEvent {
  const block = blockOf(texts);
  return { type: 'lines', block, first: 0, end: texts.length, matches: matches && Uint32Array.from(matches) };
}

describe('a line', () => {
  const texts = ['plain', '', 'ümlaut "quoted" \u001e separated', '\u2028\0\\'];

  test('is an event of socket.io in a message of engine.io, with the cursor behind it', () => {
    const packets = linePackets(eventOf(texts), style);
    const expected = texts.map((message, at) => {
      const entry = { workerId: 'w1', taskId: 't1', timestamp: '1970-01-01T00:00:00.000Z', level: 'INFO' };
      const data = ['log-entry', { ...entry, source: 'stdout', message, metadata: {}, cursor: String(12 + at) }];
      return `2/log-streaming,${JSON.stringify(data)}`;
    });
    assert.deepEqual(packets.texts(), expected);
    const frames = expected.flatMap((text) => {
      const message = Buffer.from(`4${text}`);
      return [Buffer.from([0x81, 126, message.length >> 8, message.length & 0xff]), message];
    });
    assert.deepEqual(packets.frames(), Buffer.concat(frames));
  });

  test('is framed once for all whose filter is the same', () => {
    const event = eventOf(texts);
    const frames = linePackets(event, style).frames();
    assert.equal(linePackets(event, { ...style }).frames(), frames);
    assert.notEqual(linePackets(event, { ...style, filterKey: 'other' }).frames(), frames);
    assert.notEqual(linePackets(event, { ...style, epoch: 'later' }).frames(), frames);
  });
});

describe('parts of many lines', () => {
  const texts = Array.from({ length: 600 }, (_, at) => `${at}`);
  const rows: { name: string; matches: number[] | undefined; parts: [first: number, end: number, lines: number][] }[] =
    [
      {
        name: 'are no longer than 256 lines',
        matches: undefined,
        parts: [
          [0, 256, 256],
          [256, 512, 256],
          [512, 600, 88],
        ],
      },
      { name: 'are one where few match', matches: [3, 599], parts: [[0, 600, 2]] },
      {
        name: 'have 256 matches each, and all end where the lines do',
        matches: Array.from({ length: 300 }, (_, at) => 2 * at),
        parts: [
          [0, 511, 256],
          [512, 600, 44],
        ],
      },
    ];
  for (const { name, matches, parts } of rows) {
    test(name, () => {
      const event = eventOf(texts, matches);
      const made = [...partsOf(event, () => 256)];
      assert.deepEqual(
        made.map((part) => [part.first, part.end, part.matches?.length ?? part.end - part.first]),
        parts,
      );
      assert.deepEqual(
        made.flatMap((part) => linePackets(part, style).texts()),
        linePackets(event, style).texts(),
      );
    });
  }
});
