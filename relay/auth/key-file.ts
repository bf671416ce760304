import { randomBytes } from 'node:crypto';
import { lchown, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { takeLock, type Lock } from '../../shared/lock.ts';
import { makeFolder } from '../../shared/make-folder.ts';
import { parseKeys, printKeys, type KeyRecord } from './key-record.ts';

/** The file of API keys in a data folder. A relay may read it while this changes it. */
export class KeyFile {
  readonly path: string;
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = dataDir;
    this.path = join(dataDir, 'keys.json');
  }

  /** Undefined if there is no such file. Rejects with an Error that names the file if it can't be read or understood. */
  async read(): Promise<KeyRecord[] | undefined> {
    try {
      return parseKeys(await readFile(this.path, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new Error(`the API keys in ${this.path} can't be read: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Writes what `change` makes of the keys; resolves with its answer when that is on the disk. Changes of several
   * processes come one after the other; none is lost, and no reader ever sees half of one.
   */
  async change<T>(change: (keys: readonly KeyRecord[]) => { keys: readonly KeyRecord[]; answer: T }): Promise<T> {
    makeFolder(this.#folder);
    const lockPath = join(this.#folder, 'keys.lock');
    const lock = await locked(() => takeLock(lockPath, { what: `the file of API keys ${this.path}` }));
    try {
      const owner = await ownerOf(this.#folder);
      // Root may change the keys of a relay that runs as another user. In that one's folder a name may lead anywhere.
      if (isRoot()) await lchown(lockPath, owner.uid, owner.gid);
      const { keys, answer } = change((await this.read()) ?? []);
      await this.#replace(printKeys(keys), owner);
      return answer;
    } finally {
      lock.release();
    }
  }

  async #replace(text: string, owner: Owner): Promise<void> {
    const temporary = `${this.path}.${randomBytes(6).toString('hex')}`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(text);
        if (isRoot()) await file.chown(owner.uid, owner.gid);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

interface Owner {
  uid: number;
  gid: number;
}

async function ownerOf(folder: string): Promise<Owner> {
  const { uid, gid } = await stat(folder);
  return { uid, gid };
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Takes a lock that is held for milliseconds at a time. Rejects as `take` throws if it is still held after 5 s. */
async function locked(take: () => Lock): Promise<Lock> {
  const end = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    try {
      return take();
    } catch (error) {
      if (performance.now() >= end) throw error;
      await wait(LOCK_RETRY_MS);
    }
  }
}

const LOCK_PATIENCE_MS = 5000;
const LOCK_RETRY_MS = 20;
