import { setTimeout as delay } from 'node:timers/promises';
import packageJson from '../package.json' with { type: 'json' };
import { takeLock } from '../shared/lock.ts';
import { makeFolder } from '../shared/make-folder.ts';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { registerKerutaRoutes } from './api/keruta/routes.ts';
import { serveNestedAgent } from './api/keruta/nested-agent.ts';
import { registerWriteRoutes } from './api/keruta/post.ts';
import { serveViewer } from './api/keruta/viewer.ts';
import { openOtto } from './api/otto/otto.ts';
import type { PublicApi } from './api/public-api.ts';
import { openStratal } from './api/stratal/stratal.ts';
import { openEntrance } from './auth/entrance.ts';
import { lockFile, storeFile } from './data-folder.ts';
import { DiskGuard } from './disk.ts';
import { registerDebug } from './debug.ts';
import { diskCheck, EventLoopCheck, Health, storeCheck } from './health.ts';
import { registerHttpLink } from './http-link.ts';
import { Ingest } from './ingest.ts';
import { Limits } from './limits/limits.ts';
import { openLog } from './log.ts';
import { MergedReader } from './merged/merged-reader.ts';
import { Intake } from './metrics/intake.ts';
import { Metrics } from './metrics/metrics.ts';
import { registerMetrics } from './metrics/routes.ts';
import { Parts } from './parts.ts';
import { PipelineWatch } from './pipelines/pipeline-watch.ts';
import { Reader } from './reader.ts';
import { Senders } from './senders/senders.ts';
import { startServer } from './server.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { StoreWatch } from './store-watch.ts';
import { StoreError } from './store/store.ts';
import { certificateChanged, diskChanged, relayStarted, relayStopping, runUnverified } from './system-events.ts';
import { SystemLog } from './system-log.ts';
import { Tail } from './tail.ts';
import { startUpkeep } from './upkeep.ts';

/**
 * A relay: takes in what agents send, keeps it, and lets anyone read it. Resolves when it listens and its store takes
 * writes; rejects with an Error that says what stands in the way, having let go of everything again.
 */
export async function startRelay(config: RelayConfig): Promise<Relay> {
  const log = openLog(config.logLevel);
  const parts = new Parts();
  const ended = Promise.withResolvers<undefined>();
  const stop = async (): Promise<void> => {
    await parts.stop().finally(() => ended.resolve(undefined));
  };
  let fatal = false;
  const onFatal = (error: StoreError): void => {
    if (parts.stopping) return;
    fatal = true;
    log.fatal({ err: error }, 'the store is beyond use; the relay ends, agents keep what was not acknowledged');
    stop().catch((problem: unknown) => log.error({ err: problem }, 'the relay did not stop cleanly'));
  };

  try {
    makeDataFolder(config.dataDir);
    const lock = takeLock(lockFile(config.dataDir), { what: `the data folder ${config.dataDir}` });
    parts.started(() => lock.release());

    const { auth, ...entrance } = await openEntrance(config, log, parts);

    const metrics = new Metrics(packageJson.version);
    const file = await openSqliteStore({
      path: storeFile(config.dataDir),
      onCommit: ({ ms }) => metrics.committed(ms),
      onMerge: (merged) => metrics.merged(merged),
      onTrouble: (message) => log.warn({ reason: message }, 'the store could not tidy up; it goes on'),
    });
    parts.started(() => file.close());
    const store = new StoreWatch(file);
    log.info({ folder: config.dataDir, epoch: store.epoch() }, 'the store is open');

    const disk = new DiskGuard({ folder: config.dataDir, minFreeBytes: config.minFreeBytes });
    await disk.start();
    parts.started(() => disk.stop());

    const tail = new Tail({ store });
    const reader = new Reader({ store, tail });
    parts.started(() => reader.close());
    const merged = new MergedReader({ store, reader });
    tail.onForget = (task, throughLine) => merged.tail.forget(task, throughLine);

    const intake = new Intake({
      tails: [tail, merged],
      followed: reader.followed,
      onLatency: (ms) => metrics.stored(ms),
      now: Date.now,
    });
    const limits = new Limits(config);
    limits.onHit = (limit) => metrics.limited(limit);

    const ingest = new Ingest({
      store,
      tail: intake,
      limits,
      meter: metrics,
      disk,
      onUnverified: (run) => systemLog.say(runUnverified(run)),
      onFatal,
      log,
      windowBytes: config.windowBytes,
      seenEveryMs: Math.min(10_000, config.lostAfterMs / 3),
    });
    ingest.start();
    parts.started(() => ingest.stop());

    const senders = new Senders({
      ...{ store, disk, limits, onFatal, log },
      tail: intake,
      waitingMs: () => store.waitingMs,
      seenEveryMs: Math.min(10_000, config.lostAfterMs / 3),
      graceMs: config.lostAfterMs,
      postIdleMs: config.postIdleMs,
    });
    await senders.start();
    parts.started(() => senders.stop());

    const systemLog = new SystemLog({
      senders,
      onError: (error) => {
        if (error instanceof StoreError && !error.retry) onFatal(error);
      },
      now: Date.now,
    });
    if (config.systemLog) systemLog.start();
    parts.started(() => systemLog.stop());
    disk.onChange = () => {
      log.warn(
        disk.state,
        disk.state.room ? 'there is room again: agents are let in' : 'no room: agents are sent away',
      );
      systemLog.say(diskChanged(disk.state));
      ingest.diskChanged();
    };
    // What it was before anybody heard of changes.
    if (!disk.state.room) disk.onChange();
    const { tls } = entrance;
    if (tls !== undefined) parts.started(tls.keep(() => systemLog.say(certificateChanged())));

    const writes = startUpkeep({ config, store, tail, metrics, log, systemLog, onFatal, parts });
    const eventLoop = new EventLoopCheck();
    eventLoop.start();
    parts.started(() => eventLoop.stop());
    const health = new Health({
      store: () => storeCheck(store, writes),
      disk: () => diskCheck(disk.state),
      eventLoop: () => eventLoop.find(),
    });

    const speakers = { reader, senders, limits, maxMessageBytes: config.maxMessageBytes, meter: metrics, log };
    const stratal = openStratal({ merged, store, limits, meter: metrics, log, now: Date.now });
    metrics.watchConnections('sse', () => stratal.connections());
    const apis: PublicApi[] = [
      stratal,
      openOtto({
        ...entrance,
        ...{ reader, merged, senders, store, limits, config, health, log },
        pipelines: new PipelineWatch({ store }),
        runFacts: reader.facts,
        meter: metrics,
        now: Date.now,
        connections: () =>
          ingest.connections + server.viewers() + apis.reduce((sum, api) => sum + api.connections(), 0),
      }),
    ];
    const server = await startServer({
      ...entrance,
      health,
      apis,
      routes: (api) => {
        registerKerutaRoutes(api, { store, reader });
        registerWriteRoutes(api, { store, reader, senders, agents: ingest });
        registerHttpLink(api, { agents: ingest, limits });
      },
      open: (app) => config.metricsOpen && registerMetrics(app, { metrics, open: true }),
      guarded: (app) => {
        if (!config.metricsOpen) registerMetrics(app, { metrics, open: false });
        if (config.debug) registerDebug(app, { log });
      },
      limits,
      maxSockets: Math.ceil(1.5 * config.maxConnections),
      maxMessageBytes: config.maxMessageBytes,
      meter: metrics,
      agents: ingest,
      serveViewer: (socket, viewer) =>
        serveViewer(socket, {
          ...viewer,
          ...speakers,
          merged,
          pipelines: store,
          sessionTimeoutMs: config.sessionTimeoutMs,
        }),
      serveNestedAgent: (socket, agent) => serveNestedAgent(socket, { ...agent, ...speakers }),
      compression: config.compression,
      log,
      version: packageJson.version,
    });
    parts.started(() => server.stop());
    metrics.watch({
      ...{ intake, ingest, tails: [tail, merged.tail], store },
      connections: () => ({ agents: ingest.connections, viewers: server.viewers() }),
      traffic: () => server.traffic,
      followed: reader.followed,
      disk: () => disk.state,
      health: () => health.report(),
      windowBytes: config.windowBytes,
    });
    parts.started(async () => {
      health.drain();
      systemLog.say(relayStopping());
      // Without a store there is nothing to go on with.
      if (!fatal) await delay(config.drainDelayMs);
    });
    // What is stopped already must not seem to have started.
    if (parts.stopping) throw new Error('the store was beyond use before the relay listened; its log says more');
    systemLog.say(relayStarted({ version: packageJson.version, epoch: store.epoch() }));
    return { url: server.url, urls: server.urls, authRequired: auth.required, stop, stopped: ended.promise };
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

export interface Relay {
  /** The first address that it listens on, `http://host:port`. */
  url: string;
  /** All of them. */
  urls: string[];
  /** Whether it lets nobody in without a token. */
  authRequired: boolean;
  /** Acknowledges what is under way, sends agents and viewers away, closes the store. Said again, waits for the same. */
  stop(): Promise<void>;
  /** Resolves when it has stopped, asked or by itself (the store is beyond use; the log says why). */
  stopped: Promise<undefined>;
}

function makeDataFolder(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    throw new Error(`the data folder ${folder} can't be made: ${(error as Error).message}`, { cause: error });
  }
}
