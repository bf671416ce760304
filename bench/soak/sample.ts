/** How everything was at one moment, or since the last one. Sizes in MiB, times in ms. */
export interface Sample {
  /** Seconds since the beginning. */
  at: number;
  relayRss: number;
  relayHeap: number;
  /** Buffers outside the heap. */
  relayExternal: number;
  relayDescriptors: number;
  relayThreads: number;
  /** The largest of the steady agents. */
  agentRss: number;
  /** Of all steady agents. */
  agentDescriptors: number;
  wal: number;
  loopDelayP99: number;
  latencyP50: number;
  latencyP99: number;
  /** Of the followers, together. */
  linesPerSecond: number;
  readers: number;
  store: number;
  chunks: number;
  /** Forgotten by retention, and put into larger chunks by merging, in thousands, so far. */
  expired: number;
  merged: number;
  /** Tasks that ran and ended, visits of readers, requests: so far. */
  jobs: number;
  visits: number;
  requests: number;
}

export interface Column {
  key: keyof Sample;
  /** As it is printed above its figures. */
  title: string;
  /** As it is called in sentences. */
  name: string;
  unit: string;
  /**
   * By how much it may be more at the end than after the warm-up: this much, or this share of what it was, whichever
   * is more. What has to grow (a store, tasks) has none.
   */
  mayGrow?: { by: number; share: number };
}

export const COLUMNS: readonly Column[] = [
  { key: 'at', title: 's', name: 'time', unit: 's' },
  { key: 'relayRss', title: 'relay MiB', name: "the relay's memory", unit: 'MiB', mayGrow: { by: 32, share: 0.15 } },
  { key: 'relayHeap', title: 'heap', name: "the relay's heap", unit: 'MiB', mayGrow: { by: 16, share: 0.25 } },
  {
    ...{ key: 'relayExternal', title: 'extern', name: "the relay's buffers outside its heap", unit: 'MiB' },
    mayGrow: { by: 24, share: 0.25 },
  },
  {
    ...{ key: 'relayDescriptors', title: 'fds', name: "the relay's descriptors", unit: '' },
    mayGrow: { by: 16, share: 0 },
  },
  { key: 'relayThreads', title: 'threads', name: "the relay's threads", unit: '', mayGrow: { by: 1, share: 0 } },
  { key: 'agentRss', title: 'agent MiB', name: "an agent's memory", unit: 'MiB', mayGrow: { by: 16, share: 0.15 } },
  {
    ...{ key: 'agentDescriptors', title: 'fds', name: "the agents' descriptors", unit: '' },
    mayGrow: { by: 2, share: 0 },
  },
  { key: 'wal', title: 'WAL MiB', name: 'the write-ahead log', unit: 'MiB', mayGrow: { by: 16, share: 0.25 } },
  {
    ...{ key: 'loopDelayP99', title: 'loop p99', name: 'the event-loop delay (p99)', unit: 'ms' },
    mayGrow: { by: 25, share: 0.5 },
  },
  { key: 'latencyP50', title: 'p50 ms', name: 'the latency (p50)', unit: 'ms', mayGrow: { by: 10, share: 0.5 } },
  { key: 'latencyP99', title: 'p99 ms', name: 'the latency (p99)', unit: 'ms', mayGrow: { by: 200, share: 0.5 } },
  { key: 'linesPerSecond', title: 'lines/s', name: 'lines a second', unit: '' },
  { key: 'readers', title: 'readers', name: 'readers', unit: '' },
  { key: 'store', title: 'store MiB', name: 'the store', unit: 'MiB' },
  { key: 'chunks', title: 'chunks', name: 'chunks', unit: '' },
  { key: 'expired', title: 'k expired', name: 'thousand lines forgotten', unit: '' },
  { key: 'merged', title: 'k merged', name: 'thousand chunks merged', unit: '' },
  { key: 'jobs', title: 'jobs', name: 'jobs', unit: '' },
  { key: 'visits', title: 'visits', name: 'visits', unit: '' },
  { key: 'requests', title: 'requests', name: 'requests', unit: '' },
];
