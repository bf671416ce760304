import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { takeLock } from '../shared/lock.ts';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { registerKerutaRoutes } from './api/keruta/routes.ts';
import { serveViewer } from './api/keruta/viewer.ts';
import { Auth } from './auth/auth.ts';
import { DiskGuard } from './disk.ts';
import { diskCheck, EventLoopCheck, Health, storeCheck } from './health.ts';
import { Ingest } from './ingest.ts';
import { LostWatch } from './lost.ts';
import { Reader } from './reader.ts';
import { startServer } from './server.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { StoreError } from './store/store.ts';
import { Tail } from './tail.ts';

/**
 * A relay: takes in what agents send, keeps it, and lets anyone read it. Resolves when it listens and its store takes
 * writes; rejects with an Error that says what stands in the way, having let go of everything again.
 */
export async function startRelay(config: RelayConfig): Promise<Relay> {
  const log = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
  const parts = new Parts();
  const ended = Promise.withResolvers<undefined>();
  const stop = async (): Promise<void> => {
    await parts.stop().finally(() => ended.resolve(undefined));
  };
  const onFatal = (error: StoreError): void => {
    if (parts.stopping) return;
    log.fatal({ err: error }, 'the store is beyond use; the relay ends, agents keep what was not acknowledged');
    stop().catch((problem: unknown) => log.error({ err: problem }, 'the relay did not stop cleanly'));
  };

  try {
    await makeFolder(config.dataDir);
    const lock = takeLock(join(config.dataDir, 'relay.lock'), { what: `the data folder ${config.dataDir}` });
    parts.started(() => lock.release());

    const store = await openSqliteStore({ path: join(config.dataDir, 'keruta.db') });
    parts.started(() => store.close());
    log.info({ folder: config.dataDir, epoch: store.epoch() }, 'the store is open');

    const disk = new DiskGuard({ folder: config.dataDir, minFreeBytes: config.minFreeBytes });
    await disk.start();
    parts.started(() => disk.stop());

    const tail = new Tail({ store });
    const reader = new Reader({ store, tail });

    const ingest = new Ingest({
      store,
      tail,
      disk,
      onFatal,
      log,
      windowBytes: config.windowBytes,
      seenEveryMs: Math.min(10_000, config.lostAfterMs / 3),
    });
    ingest.start();
    parts.started(() => ingest.stop());
    disk.onChange = () => {
      log.warn(
        disk.state,
        disk.state.room ? 'there is room again: agents are let in' : 'no room: agents are sent away',
      );
      ingest.diskChanged();
    };

    const lost = new LostWatch({
      lostAfterMs: config.lostAfterMs,
      markLost: (before, now) => store.markLost(before, now),
      onLost: (run) => log.warn(run, 'lost an agent'),
      onError: (error) => {
        log.error({ err: error }, 'could not look for lost agents');
        if (error instanceof StoreError && !error.retry) onFatal(error);
      },
      now: Date.now,
    });
    lost.start();
    parts.started(() => lost.stop());

    const eventLoop = new EventLoopCheck();
    eventLoop.start();
    parts.started(() => eventLoop.stop());
    const health = new Health({
      store: () => storeCheck(store),
      disk: () => diskCheck(disk.state),
      eventLoop: () => eventLoop.find(),
    });

    const server = await startServer({
      host: config.host,
      port: config.port,
      auth: new Auth(config.authTokens),
      health,
      routes: (api) => registerKerutaRoutes(api, { store, reader }),
      agents: ingest,
      serveViewer: (socket, taskId) => serveViewer(socket, { taskId, reader, log }),
      log,
      version: packageJson.version,
    });
    parts.started(() => server.stop());
    return { url: server.url, stop, stopped: ended.promise };
  } catch (error) {
    await parts.stop();
    throw explained(error, config);
  }
}

export interface Relay {
  /** Where it listens, `http://host:port`. */
  url: string;
  /** Acknowledges what is under way, sends agents and viewers away, closes the store. Said again, waits for the same. */
  stop(): Promise<void>;
  /** Resolves when it has stopped, asked or by itself (the store is beyond use; the log says why). */
  stopped: Promise<undefined>;
}

/** What has been started, to be stopped in reverse. */
class Parts {
  readonly #stops: (() => void | Promise<void>)[] = [];
  #stopped: Promise<void> | undefined;

  get stopping(): boolean {
    return this.#stopped !== undefined;
  }

  started(stop: () => void | Promise<void>): void {
    this.#stops.push(stop);
  }

  /** Stops all, also if one of them fails; then rejects with what the first one failed of. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const problems: unknown[] = [];
    for (const stop of this.#stops.toReversed()) {
      try {
        await stop();
      } catch (problem) {
        problems.push(problem);
      }
    }
    if (problems.length > 0) throw problems[0];
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`the data folder ${folder} can't be made: ${(error as Error).message}`, { cause: error });
  }
}

/** What the system says of an address, in words. */
function explained(error: unknown, { host, port }: RelayConfig): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return new Error(`port ${port} of ${host} is already in use by another program`, { cause: error });
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new Error(`this machine has no address ${host}`, { cause: error });
  if (code === 'EACCES') return new Error(`port ${port} of ${host} may not be opened by this user`, { cause: error });
  return error;
}
