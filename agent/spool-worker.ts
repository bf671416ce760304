import { existsSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parentPort, type MessagePort } from 'node:worker_threads';
import type { Lock } from '../shared/lock.ts';
import { makeFolder } from '../shared/make-folder.ts';
import { UNBORN, type PackedBatch, type SpoolBatch, type SpoolCalls, type SpoolState } from './spool-contract.ts';
import { isUnborn } from './spool-database.ts';
import { SpoolFile } from './spool-file.ts';
import { removeSpoolLock, takeSpoolLock } from './spool-lock.ts';

/**
 * The thread that owns a spool: a disk that stalls stalls nobody else. Does one call after the other, in the order in
 * which they come (spool.ts), and answers each with its value or its error.
 */
const port = parentPort as MessagePort;
let lock: Lock | undefined;
let file: SpoolFile | undefined;
/** Where it is, also while it can't be opened. */
let place: string | undefined;

port.on('message', ({ id, op, call }: SpoolRequest) => {
  try {
    const value = (calls[op] as (call: unknown) => unknown)(call);
    port.postMessage({ id, value } satisfies SpoolAnswer, transferable(value));
  } catch (error) {
    const { message, code, name } = error as Error & { code?: string };
    port.postMessage({ id, error: { message, code, name } } satisfies SpoolAnswer);
  }
});

const calls: SpoolCalls = {
  open({ path, meta, first, truncateSeq, time }) {
    // Opened again after trouble: the lock is never let go of while the run lives.
    file?.close();
    file = undefined;
    if (meta) makeFolder(dirname(path));
    lock ??= takeSpoolLock(path);
    place = path;
    try {
      if (isUnborn(path)) bury(path, meta);
      const batch = first && unpacked(first);
      if (meta && !existsSync(path)) file = SpoolFile.create(path, meta, batch);
      else {
        file = SpoolFile.open(path, { mendTime: meta ? undefined : time });
        if (truncateSeq !== undefined) file.truncate(truncateSeq);
        if (batch) file.write(batch);
      }
      return state(file);
    } catch (error) {
      if (!meta) calls.close();
      throw error;
    }
  },
  write(batch) {
    opened().write(unpacked(batch));
    return { data: batch.data, bytes: opened().bytes };
  },
  read({ fromSeq, maxBytes }) {
    const stored = opened().read(fromSeq, maxBytes);
    const withBytes = stored.flatMap(({ firstSeq, bytes }) => (bytes ? [{ firstSeq, bytes }] : []));
    const data = new ArrayBuffer(withBytes.reduce((sum, { bytes }) => sum + bytes.length, 0));
    const into = Buffer.from(data);
    let at = 0;
    const records = withBytes.map(({ firstSeq, bytes }) => {
      at += bytes.copy(into, at);
      return { firstSeq, size: bytes.length };
    });
    return { data, records };
  },
  chainAt: ({ seq }) => opened().chainAt(seq),
  drop({ fromSeq, untilBytes, time }) {
    return { ...opened().drop(fromSeq, untilBytes, time), bytes: opened().bytes };
  },
  reject: ({ seq, time }) => opened().reject(seq, time),
  rewind: ({ at, epoch, time }) => opened().rewind(at, epoch, time),
  reset: ({ at }) => opened().reset(at),
  fork: ({ fromSeq, run }) => opened().fork(fromSeq, run),
  close() {
    try {
      file?.close();
    } finally {
      file = undefined;
      lock?.release();
      lock = undefined;
    }
  },
  destroy() {
    // It could never be made.
    if (place === undefined) return;
    if (file) file.destroy();
    else removeFiles(place);
    file = undefined;
    if (lock) removeSpoolLock(place, lock);
    lock = undefined;
  },
};

function unpacked({ data, sizes, ...batch }: PackedBatch): SpoolBatch {
  let at = 0;
  return { ...batch, records: sizes.map((size) => Buffer.from(data, (at += size) - size, size)) };
}

/** Removes what holds nothing, so that it can be made anew; where nobody makes it, its lock, too. */
function bury(path: string, meta: unknown): void {
  removeFiles(path);
  if (meta) return;
  if (lock) removeSpoolLock(path, lock);
  lock = undefined;
  throw Object.assign(new Error('was never completely created, and is removed'), { code: UNBORN });
}

function removeFiles(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}

function opened(): SpoolFile {
  if (!file) throw new Error('the spool is not open');
  return file;
}

function state(spool: SpoolFile): SpoolState {
  const { meta, nextSeq, ackedSeq, epoch, end, unverified, bytes, damaged } = spool;
  const acked = spool.chainAt(ackedSeq);
  return {
    meta,
    nextSeq,
    acked: typeof acked === 'object' ? acked : undefined,
    ackedSeq,
    epoch,
    end,
    unverified,
    missing: spool.missing(),
    bytes,
    damaged,
  };
}

/** Buffers go back without being copied. */
function transferable(value: unknown): ArrayBuffer[] {
  const data = (value as { data?: unknown } | undefined)?.data;
  return data instanceof ArrayBuffer ? [data] : [];
}

export interface SpoolRequest {
  id: number;
  op: keyof SpoolCalls;
  call: unknown;
}

export type SpoolAnswer =
  | { id: number; value: unknown; error?: undefined }
  | { id: number; error: { message: string; code?: string; name: string } };
