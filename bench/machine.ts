import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import packageJson from '../package.json' with { type: 'json' };

/** What the benchmark runs on, how busy that is already, and which versions of what. */
export function describeMachine(): Record<string, string> {
  const cores = cpus();
  return {
    machine: `${cores.length} × ${cores[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    'busy before': `load average ${loadavg()[0].toFixed(2)}`,
    kernel: `${type()} ${release()}`,
    'Node.js': process.versions.node,
    SQLite: sqliteVersion(),
    keruta: `${packageJson.version}${commit()}`,
  };
}

function sqliteVersion(): string {
  const db = new Database(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

/** Which commit, and whether the tree has changes beside it; nothing if there is no git. */
function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, {
        cwd: join(import.meta.dirname, '..'),
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    const changed = git('status', '--porcelain', '--', ':!bench') !== '';
    return `, ${git('rev-parse', '--short', 'HEAD')}${changed ? ' and changes' : ''}`;
  } catch {
    return '';
  }
}
