/**
 * What the two halves of the storm know of each other: the driver, which starts programs and ill-treats them, and the
 * workload with its readers, senders and the oracle that judges what became of it.
 */

/** Where a client of the relay finds it, and how it is let in. */
export interface Entrance {
  /** `http://127.0.0.1:port` or `https://…`: through the proxy that ill-treats connections. Stays for a whole round. */
  url: string;
  /** `host:port` of the gRPC service, through the proxy as well. */
  grpc: string;
  /** PEM of the authority that signed the relay's certificate; TLS is spoken if it is there. */
  ca?: string;
  caFile?: string;
  /** Bearer tokens; none if the relay is open. */
  tokens?: { ingest: string; read: string; admin: string };
}

/** A line or a gap that somebody has seen. Numbers are the store's; merged streams say of which task. */
export type Sighting =
  | {
      type: 'line';
      task: string;
      /** Absent where an API does not show it. */
      line?: number;
      source: 'stdout' | 'stderr' | 'agent';
      text: string;
      /** Pieces of a longer line. Absent where an API does not show them, else both are there. */
      more?: boolean;
      rest?: boolean;
      /** Of a piece, where an API says whose it is. */
      run?: string;
    }
  | {
      type: 'gap';
      /** Empty: nobody knows any more whose lines they were. */
      task: string;
      /** Both are missing; 0 where nobody knows. */
      fromLine: number;
      toLine: number;
      reason: string;
    };

/** Somebody who reads while the storm goes on, and comes back by himself after whatever happened. */
export interface StormReader {
  /** Of which API, and of what: shown in reports. */
  readonly name: string;
  /** Those of which it reads everything, from the first line on. */
  readonly tasks: readonly string[];
  /** All that it has seen, in the order in which it did. Only ever grows. */
  readonly seen: readonly Sighting[];
  /** How often it had to connect again. */
  readonly reconnects: number;
  /** Resolves when it has seen all lines up to `heads` (the last line number of each task that it reads). */
  caughtUp(heads: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void>;
  /** Ends it, and resolves when all that it had open is closed. Rejects with what went wrong, if something did. */
  close(): Promise<void>;
}

/** Somebody who sends lines without an agent, and sends again what was not answered. */
export interface StormSender {
  readonly name: string;
  /** The task that it alone writes. */
  readonly task: string;
  /** How many lines were answered as stored until now. */
  readonly acknowledged: number;
  /** What there is to judge, whole once it has finished. */
  readonly sent: Sent;
  /** Sends no more lines; resolves when all that it has sent was acknowledged, and the run ended where its API can. */
  finish(signal: AbortSignal): Promise<void>;
  /** Ends it at once. */
  close(): Promise<void>;
}

/** What a sender has sent: lines 0 to `count` - 1, all acknowledged. */
export interface Sent {
  task: string;
  seed: number;
  count: number;
  /** Lines [from, to) that were under way when a connection broke, and were sent again: they may be there twice. */
  doubts: { from: number; to: number }[];
  /** Lines that the relay asked for again: they may stand further behind. */
  retried: number[];
}

/** One execution of a task's script under an agent. */
export interface Attempt {
  task: string;
  /** Which execution of the task, from 1 on. */
  number: number;
  shape: string;
  seed: number;
  /** What the agent is to run. No Node program: the agent's environment reaches it. */
  command: string[];
  /** More flags of the agent's. */
  args?: string[];
  /** Of the agent, beside what the driver sets: a secret to mask, say. */
  env?: Record<string, string>;
  /** What the script exits with, unless something ends it. */
  exitCode: number;
  /** Tells the script to come to its end. */
  stop(): void;
  /** Lines that it has written, once it has come to its end by itself. */
  wrote(): Wrote | undefined;
}

export interface Wrote {
  stdout: number;
  stderr: number;
}

export interface AttemptOptions {
  /** Where the script may keep its files: it is the round's, and there as long as the round is. */
  folder: string;
  task: string;
  number: number;
  /** One of SHAPES. */
  shape: string;
  seed: number;
}

/** What became of an attempt, as the driver knows it. */
export interface AttemptOutcome {
  attempt: Attempt;
  /** SIGKILL ended its agent, after which only what was spooled has to arrive. */
  killed: boolean;
  /** Of the agent, if it was not killed. */
  exitCode: number | null;
  /**
   * What its spool held when it was killed. `lines`: seqs up to its end (lines, pieces, and what gaps stand for),
   * acknowledged ones included: exactly these have to arrive, or with `mayDrop` at least these. `ended`: it had its end,
   * too, so no gap `agent-died` follows. 'nothing': there was no spool (yet, or any more): the run is complete at the
   * relay, or has nothing there.
   */
  spool?: { run: string; lines: number; ended: boolean } | 'nothing';
  /** It was given a full disk or a full spool: gaps `dropped` are right. */
  mayDrop: boolean;
  /** What the agent said on stderr. */
  stderr: string;
}

/** A round when it is calm again: everything has ended, and everything was delivered or will never be. */
export interface CalmRound {
  /** Past the proxy, straight to the relay, which is healthy. */
  direct: Entrance;
  outcomes: readonly AttemptOutcome[];
  senders: readonly StormSender[];
  /** All have caught up, as far as they could within the round's bound; they are still open. */
  readers: readonly StormReader[];
  /** Of each task that was trimmed: the highest line through which that was asked. It may not have been done. */
  trimmed: ReadonlyMap<string, number>;
}

export interface Verdict {
  linesChecked: number;
  lost: number;
  duplicated: number;
  outOfOrder: number;
  altered: number;
  /** Exit codes of agents that are not the script's. */
  exitCodes: number;
  /** Lines that gaps stand for, by reason. */
  gaps: Record<string, number>;
  /** Sentences: what is wrong, where, what was expected. Empty if all is well. */
  problems: string[];
}

/** What a relay's process holds, to be compared with what it holds later. */
export interface Footprint {
  descriptors: number;
  threads: number;
  residentBytes: number;
}

/** When all clients are gone and all agents have ended. */
export interface Remains {
  relay: { pid: number; before: Footprint };
  direct: Entrance;
  dataFolder: string;
  spoolFolders: readonly string[];
  /** Of agents (each leads no group of its own; scripts do): all have ended, and so must their scripts have. */
  agentPids: readonly number[];
  /** Folder of the round: a process that names it on its command line is ours. */
  folder: string;
}

/*
 * What the workload offers the driver, by these names:
 *
 *   text.ts     SHAPES: readonly string[]
 *   shapes.ts   newAttempt({task, number, shape, seed, folder}) → Attempt; `folder` is the attempt's own, made by it
 *   senders.ts  openSenders({entrance, seed, tasks})            → StormSender[]; begin at once
 *   readers.ts  openReaders({entrance, folder, tasks, pipeline, seed, context}) → StormReader[]; begin at once
 *   judge.ts    judgeRound(round: CalmRound)                    → Promise<Verdict>; reads the store over `direct`
 *                                                                  (store.ts), then asks the oracle (oracle.ts)
 *   leaks.ts    footprint(pid: number)                          → Footprint
 *               findLeaks(remains: Remains)                     → Promise<string[]>; sentences
 */
