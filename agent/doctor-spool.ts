import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../shared/make-folder.ts';
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { sizeInWords } from '../shared/size.ts';
import { bad, good, warning, type Check } from './doctor-check.ts';
import { listSpools } from './spool-folder.ts';

const WRITTEN_BYTES = 256 * 1024;
const WRITES = 5;
/** A disk that takes longer for one write holds up the script when it floods. */
const SLOW_MS = 100;

/** Whether lines can be kept where the configuration says, how fast, and what waits there already. */
export function checkSpool(config: Pick<AgentConfig, 'spoolDir' | 'spoolLimitBytes'>): Check[] {
  const { spoolDir: folder, spoolLimitBytes } = config;
  try {
    makeFolder(folder);
  } catch (error) {
    return [bad('spool', `${folder} can't be made: ${(error as Error).message}`, ELSEWHERE)];
  }
  return [checkSpeed(folder), checkRoom(folder, spoolLimitBytes), checkWaiting(folder)];
}

const ELSEWHERE = 'give a folder that can be written to: --spool-dir, KERUTA_SPOOL_DIR';

function checkSpeed(folder: string): Check {
  try {
    const times = Array.from({ length: WRITES }, () => timeOfWrite(join(folder, `.doctor-${process.pid}`)));
    const ms = times.sort((a, b) => a - b)[WRITES >> 1];
    const found = `${folder} takes ${sizeInWords(WRITTEN_BYTES)} to the disk in ${ms.toFixed(1)} ms`;
    return ms < SLOW_MS ? good('spool', found) : warning('spool', `${found}, which is slow`, ELSEWHERE);
  } catch (error) {
    return bad('spool', `${folder} can't be written to: ${(error as Error).message}`, ELSEWHERE);
  }
}

/** ms of one write that reaches the disk. */
function timeOfWrite(path: string): number {
  const fd = openSync(path, 'w', 0o600);
  try {
    const since = performance.now();
    writeSync(fd, Buffer.alloc(WRITTEN_BYTES, 0x2e));
    fsyncSync(fd);
    return performance.now() - since;
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
}

function checkRoom(folder: string, limit: number): Check {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const found = `${sizeInWords(free)} are free, ${sizeInWords(limit)} may be used`;
  if (free >= limit) return good('room', found);
  return warning('room', found, 'make room, or lower --spool-limit: a full disk leaves gaps in logs');
}

function checkWaiting(folder: string): Check {
  const spools = listSpools(folder);
  const bytes = spools.reduce((sum, spool) => sum + sizeOf(spool) + sizeOf(`${spool}-wal`), 0);
  if (spools.length === 0) return good('waiting', 'nothing waits from earlier runs');
  const runs = spools.length === 1 ? '1 run' : `${spools.length} runs`;
  const found = `what ${runs} left, or what runs now, takes ${sizeInWords(bytes)}`;
  return warning('waiting', found, `keruta-agent flush --spool-dir ${folder}`);
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}
