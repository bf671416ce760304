import { figure, markdownTable } from '../table.ts';

/** What one program, or ours, did with the same text. */
export interface PeerFigures {
  /** The program and how it was set up, in a few words. */
  name: string;
  version: string;
  note: string;
  /** Of those that send lines to somebody who keeps them. */
  sent?: {
    /** From the sender's start to the last line at the receiver. */
    linesPerSecond: number;
    /** Over all its processes, sender and receiver. */
    cpuSecondsPerMillion: number;
    /** Peak, bytes. */
    senderRss: number;
    receiverRss: number;
  };
  /** The receiver was asked to stop in the middle and started again; and killed and started again. */
  restarted?: Restarted;
  killed?: Restarted;
  /** Of those that show lines to readers: written → socket, ms. */
  latency?: { p50: number; p99: number };
}

/** Of the lines that were sent. */
export interface Counted {
  lost: number;
  duplicated: number;
}

export interface Restarted extends Counted {
  /** The share of them that it had kept when it had ended: 1 if that was not in the middle. */
  kept: number;
}

/** The peers beside each other, and below how each was set up. */
export function peerTable(peers: readonly PeerFigures[]): string {
  const titles = [
    ...['program', '>lines/s', '>CPU-s a million', '>RSS sender', '>receiver'],
    ...['>receiver restarted', '>receiver killed', '>latency p50', '>p99'],
  ];
  const mib = (bytes: number | undefined): string => (bytes === undefined ? '' : `${Math.round(bytes / 2 ** 20)} MiB`);
  const ms = (value: number | undefined): string => (value === undefined ? '' : `${figure(value)} ms`);
  const rows = peers.map(({ name, version, sent, restarted, killed, latency }) => [
    `${name} ${version}`.trim(),
    ...(sent ? [figure(sent.linesPerSecond), figure(sent.cpuSecondsPerMillion)] : ['', '']),
    ...[mib(sent?.senderRss), mib(sent?.receiverRss), fate(restarted), fate(killed)],
    ...[ms(latency?.p50), ms(latency?.p99)],
  ]);
  const notes = peers.map(({ name, note }) => `- **${name}**: ${note}`);
  return `## Peers

The same text on the same machine in the same run, one program after the other. CPU is that of sender and receiver
together. _Receiver restarted_ and _killed_: in the middle of a flood it was stopped (SIGTERM, SIGKILL) and started
again; how many lines it lacked in the end, how many it had twice, and the share that it had kept when it ended (100 %:
all had passed already). Latency: 1,000 lines a second, written → socket.

${markdownTable(titles, rows)}

${notes.join('\n')}`;
}

function fate(restarted: Restarted | undefined): string {
  if (restarted === undefined) return '';
  const [lost, twice] = [restarted.lost, restarted.duplicated].map((count) => count.toLocaleString('en-US'));
  return `${lost} lost, ${twice} twice (at ${Math.floor(restarted.kept * 100)} %)`;
}
