import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Entrance, Footprint, Remains } from './contract.ts';
import { ask, textOfAnswer } from './http.ts';
import { rest } from './stage.ts';

/** What a process holds now. Throws if it is gone. */
export function footprint(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1]),
    residentBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024,
  };
}

/** Looks for what is left behind when all clients are gone; waits a moment for what is just going. Sentences. */
export async function findLeaks(remains: Remains & { patienceMs?: number }): Promise<string[]> {
  const { patienceMs = PATIENCE_MS } = remains;
  let leaks: string[] = [];
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += LOOK_EVERY_MS) {
    leaks = [...inRelay(remains), ...(await inMetrics(remains.direct)), ...processes(remains), ...files(remains)];
    if (leaks.length === 0) return [];
    await rest(LOOK_EVERY_MS);
  }
  return leaks;
}

function inRelay({ relay: { pid, before } }: Remains): string[] {
  const now = footprint(pid);
  const leaks: string[] = [];
  for (const connection of connectionsOf(pid))
    leaks.push(`nobody is there, and the relay has a connection: ${connection}`);
  if (now.descriptors > before.descriptors + LAZY_DESCRIPTORS)
    leaks.push(`the relay has ${now.descriptors} descriptors, and had ${before.descriptors} before anybody came`);
  if (now.threads > before.threads + LAZY_THREADS)
    leaks.push(`the relay has ${now.threads} threads, and had ${before.threads} before anybody came`);
  if (now.residentBytes > MOST_RESIDENT_BYTES)
    leaks.push(`the relay takes ${Math.round(now.residentBytes / 1024 ** 2)} MiB of memory`);
  return leaks;
}

/** What the relay itself counts must be nothing. */
async function inMetrics(direct: Entrance): Promise<string[]> {
  const answer = await ask(direct, { path: '/metrics', signal: AbortSignal.timeout(METRICS_MS) });
  const text = await textOfAnswer(answer);
  const leaks: string[] = [];
  for (const gauge of [
    'keruta_connections',
    'keruta_runs_writing',
    'keruta_readers',
    'keruta_buffer_size{type="ingest"}',
  ]) {
    const lines = text.split('\n').filter((line) => line.startsWith(gauge));
    if (lines.length === 0) leaks.push(`the relay's metrics have no ${gauge}`);
    for (const line of lines) if (!line.endsWith(' 0')) leaks.push(`nobody is there, and the relay counts ${line}`);
  }
  return leaks;
}

function processes({ agentPids, folder, relay: { pid: relay } }: Remains): string[] {
  const leaks: string[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isNaN(pid) || pid === process.pid || pid === relay) continue;
    const command = readIfThere(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
    // A zombie has none.
    if (command === '') continue;
    // Pids are used again: what bears one of an agent's must be one.
    const isAgent = agentPids.includes(pid) && command.includes('agent/cli.ts');
    if (isAgent || command.includes(folder)) leaks.push(`process ${pid} is left: ${command.slice(0, 200)}`);
  }
  return leaks;
}

/** Locks stay, with their owner's name if that was killed before it had a spool; they hold nothing. */
function files({ spoolFolders, dataFolder, folder }: Remains): string[] {
  const leaks: string[] = [];
  for (const spool of spoolFolders) {
    if (!existsSync(spool)) continue;
    for (const name of readdirSync(spool, { recursive: true, encoding: 'utf8' }))
      if (!isLock(name) && !isBallast(name)) leaks.push(`the spool folder still has ${join(spool, name)}`);
  }
  for (const name of readdirSync(dataFolder))
    if (!DATA_FILES.has(name) && !isBallast(name)) leaks.push(`the relay's folder has ${join(dataFolder, name)}`);
  const temporary = join(folder, 'tmp');
  if (existsSync(temporary))
    for (const name of readdirSync(temporary)) leaks.push(`the temporary folder still has ${join(temporary, name)}`);
  return leaks;
}

function isLock(name: string): boolean {
  return /\.lock(\.owner(\.new)?)?$/.test(name);
}

/** What the harness fills disks with. */
function isBallast(name: string): boolean {
  return name === 'ballast';
}

/** The TCP connections that a process has open, in whatever state; not where it listens. */
function connectionsOf(pid: number): string[] {
  const mine = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      mine.add(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? '');
    } catch {
      // It has just been closed.
    }
  }
  const rows = ['tcp', 'tcp6'].flatMap((table) => readIfThere(`/proc/${pid}/net/${table}`).split('\n').slice(1));
  return rows.flatMap((row) => {
    const [, local, remote, state, , , , , , inode = ''] = row.trim().split(/\s+/);
    if (inode === '' || state === LISTENING || !mine.has(inode)) return [];
    return [`port ${portOf(local)} to port ${portOf(remote)}, state ${state}`];
  });
}

function portOf(address: string): number {
  return parseInt(address.slice(address.lastIndexOf(':') + 1), 16);
}

/** As the kernel writes it. */
const LISTENING = '0A';

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Workers that start when there is something to merge or to search bring some of their own. */
const LAZY_DESCRIPTORS = 40;
const LAZY_THREADS = 12;
const MOST_RESIDENT_BYTES = 600 * 1024 ** 2;
const DATA_FILES = new Set([
  'keruta.db',
  'keruta.db-shm',
  'keruta.db-wal',
  'relay.lock',
  'relay.lock.owner',
  'keys.json',
  'keys.lock',
]);
const METRICS_MS = 5000;
const LOOK_EVERY_MS = 250;
const PATIENCE_MS = 20_000;
