import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { CODEC_GAP, CODEC_ZSTD, readHeader } from '../shared/chunk.ts';
import { decodeLines } from '../shared/columns.ts';
import { resolveAgent } from '../shared/options/agent-config.ts';
import { levelOf, sourceOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { StreamReader } from './blocks.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { compileFilter } from './line-filter.ts';
import type { Outbox } from './outbox.ts';
import { Pacer } from './pacer.ts';
import { compileSecrets } from './redact/secrets.ts';

/** Captures what each of the blocks brings, with `options`; what came out, line by line: `stdout INFO text`, `gap 5`. */
async function captured(blocks: string[], options: Partial<CaptureOptions> = {}) {
  const chunks: Buffer[] = [];
  const outbox: Outbox = {
    put: (chunk) => chunks.push(chunk),
    idle: false,
    full: false,
    unsentLines: 7,
    figures: {} as Outbox['figures'],
    onChange: () => undefined,
    end: () => Promise.reject(new Error('not asked for')),
  };
  const capture = new Capture({
    run: newUlid(0),
    outbox,
    secrets: compileSecrets([]),
    level: 'DEBUG',
    flushIntervalMs: 60_000,
    batchSize: 1,
    ...options,
  });
  const pipe = new StreamReader(Readable.from(blocks.map((block) => Buffer.from(block))));
  await capture.attach('stdout', pipe, undefined, new AbortController().signal);
  capture.note('WARN', 'a note');
  await capture.end();
  let seq = 0;
  const records = chunks.flatMap((chunk) => {
    const header = readHeader(chunk);
    assert.equal(header.firstSeq, seq, 'records follow each other');
    seq += header.count;
    if (header.codec === CODEC_GAP) return [`gap ${header.count} ${header.reason}`];
    const body = chunk.subarray(-header.bodyBytes);
    const lines = decodeLines(header, header.codec === CODEC_ZSTD ? zstdDecompressSync(body) : body);
    return Array.from({ length: lines.count }, (_, i) => {
      const text = lines.text.toString('utf8', lines.starts[i], lines.starts[i + 1] - 1);
      return `${sourceOf(lines.kinds[i])} ${levelOf(lines.kinds[i])} ${text}`;
    });
  });
  assert.equal(capture.totals.nextSeq, seq);
  return { records, chunks: chunks.length, totals: capture.totals };
}

const NOTE = 'agent WARN a note';
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}\n`).join('');

describe('lines above the rate', () => {
  test('are a gap in their place, with their number', async () => {
    const { records, totals } = await captured([numbered(10)], { maxLinesPerSecond: 4 });
    const lines = [0, 1, 2, 3].map((i) => `stdout INFO line ${i}`);
    assert.deepEqual(records, [...lines, 'gap 6 dropped', NOTE]);
    assert.deepEqual(totals.lines, 5);
  });

  test('are one gap though they come in many blocks', async () => {
    const blocks = numbered(10).split(/(?<=\n)/);
    const { records } = await captured(blocks, { maxLinesPerSecond: 4 });
    assert.ok(records.includes('gap 6 dropped'), records.join('; '));
  });

  test('are counted once though they come in pieces', async () => {
    const long = `${'x'.repeat(5000)}\n`;
    const { records } = await captured([`a\n${long}${long}b\n`], { maxLinesPerSecond: 1, maxPieceBytes: 1024 });
    assert.deepEqual(records, ['stdout INFO a', 'gap 3 dropped', NOTE]);
  });

  test('are none of the lines that are not shipped anyway', async () => {
    const options = { maxLinesPerSecond: 2, level: 'WARN' as const };
    const { records } = await captured(['INFO a\nWARN b\nINFO c\nWARN d\nWARN e\n'], options);
    assert.deepEqual(records, ['stdout WARN WARN b', 'stdout WARN WARN d', 'gap 1 dropped', NOTE]);
  });
});

describe('filters', () => {
  const filter = () =>
    compileFilter(
      resolveAgent({
        flags: {},
        env: { KERUTA_LOG_EXCLUDE_PATTERNS: '^noise' },
        surroundings: { env: {}, hostname: '', temporary: '/tmp', uid: 1 },
      }),
    );

  test('keep lines out, leave no gap, and say so once', async () => {
    const { records } = await captured(['a\nnoise 1\nb\nnoi', 'se 2\r\nc\n'], { filter: filter() });
    const lines = ['a', 'b', 'c'].map((text) => `stdout INFO ${text}`);
    assert.deepEqual(records, [...lines, NOTE, 'agent INFO logStreaming.filters kept 2 lines out of this log']);
  });

  test('decide on a line of several pieces by the first', async () => {
    const noise = `noise ${'x'.repeat(3000)}\n`;
    const other = `other ${'x'.repeat(1018)}noise\n`;
    const { records } = await captured([noise + other], { filter: filter(), maxPieceBytes: 1024 });
    assert.deepEqual(records.slice(0, 2), [`stdout INFO other ${'x'.repeat(1018)}`, 'stdout INFO noise']);
    assert.match(records[3], /kept 1 line out/);
  });
});

test('an uplink that is paced gets records of a second at most, and the log says what was held back', async () => {
  const pacer = new Pacer(200, () => 0);
  pacer.take(200);
  pacer.take(50);
  const { records, chunks } = await captured([numbered(1000)], { pacer });
  assert.equal(chunks, 6);
  assert.equal(
    records.at(-1),
    'agent INFO performance.rateLimitPerSecond (200) holds this log back: 50 lines for 0.0 s in all; ' +
      'when the script ended, 7 lines of it had not arrived',
  );
});
