import { mkdirSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { storeFile } from '../relay/data-folder.ts';
import { openSqliteStore } from '../relay/store/sqlite.ts';
import { TARGET_TEXT_BYTES } from '../shared/chunk.ts';
import { encodeLines } from '../shared/columns.ts';
import { kindOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { LINE_BYTES, logText } from './text.ts';

const CHUNK_LINES = Math.floor(TARGET_TEXT_BYTES / LINE_BYTES);
/** Chunks of different text; then they come again. */
const TEMPLATES = 200;
const UNDER_WAY = 16;

export interface Filled {
  lines: number;
  /** The text of a line by its number, from 1. */
  textOf: (line: number) => string;
  /** How many lines hold a text. */
  count: (text: string) => number;
}

/** Writes a task of (at least) so many lines into a relay's data folder, in chunks as an agent makes them from a flood. */
export async function fillStore(
  data: string,
  { task, lines: wanted }: { task: string; lines: number },
): Promise<Filled> {
  mkdirSync(data, { recursive: true });
  const store = await openSqliteStore({ path: storeFile(data) });
  try {
    const now = Date.now();
    const run = newUlid(now);
    const hello = { task, run, workerId: 'bench', labels: {}, agentVersion: 'bench', startedAt: now, ackedSeq: 0, now };
    const { fence } = await store.open(hello);
    const chunks = Math.ceil(wanted / CHUNK_LINES);
    const texts = Array.from({ length: Math.min(TEMPLATES, chunks) }, (_, i) => logText(CHUNK_LINES, i + 1));
    const templates = texts.map((text) => encode(run, text, now));
    let under: Promise<unknown>[] = [];
    for (let i = 0; i < chunks; i++) {
      const bytes = Buffer.from(templates[i % templates.length]);
      bytes.writeUIntLE(i * CHUNK_LINES, 24, 6);
      bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
      under.push(store.append({ task, run, fence, bytes, now }).then(refuseUnlessStored));
      if (under.length < UNDER_WAY) continue;
      await Promise.all(under);
      under = [];
    }
    await Promise.all(under);
    const strings = texts.map((text) => text.toString('latin1'));
    const template = (chunk: number): string => strings[chunk % strings.length];
    return {
      lines: chunks * CHUNK_LINES,
      textOf: (line) => {
        const at = ((line - 1) % CHUNK_LINES) * LINE_BYTES;
        return template(Math.floor((line - 1) / CHUNK_LINES)).slice(at, at + LINE_BYTES - 1);
      },
      count: (text) => {
        const counts = strings.map((string) => string.split('\n').filter((line) => line.includes(text)).length);
        return Array.from({ length: chunks }, (_, i) => counts[i % counts.length]).reduce((sum, n) => sum + n, 0);
      },
    };
  } finally {
    await store.close();
  }
}

function encode(run: string, text: Buffer, time: number): Buffer {
  const kind = kindOf('stdout', 'INFO');
  const lines = Array.from({ length: CHUNK_LINES }, (_, i) => ({
    ...{ time: time + i, kind },
    text: text.subarray(i * LINE_BYTES, (i + 1) * LINE_BYTES - 1),
  }));
  return encodeLines(run, 0, lines);
}

function refuseUnlessStored({ outcome }: { outcome: string }): void {
  if (outcome !== 'stored') throw new Error(`a chunk was not stored: ${outcome}`);
}
