import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { openFilePipeline } from './file-pipeline.ts';
import { findProgram, versionOf } from './programs.ts';
import type { Pipeline } from './pipeline.ts';

type Transport = 'RELP' | 'TCP';

/** rsyslog to rsyslog, over RELP (which acknowledges) and over TCP; as far as its modules are installed. */
export function rsyslogPipelines(folder: string): { pipelines: Pipeline[]; skipped: string[] } {
  const program = findProgram('rsyslogd');
  if (program === undefined) return { pipelines: [], skipped: ['rsyslogd is not on the PATH and was not measured.'] };
  const version = versionOf(program, '-v');
  const pipelines: Pipeline[] = [];
  const skipped: string[] = [];
  for (const transport of ['RELP', 'TCP'] as const) {
    // Whether its modules are there, rsyslogd knows best.
    const check = join(folder, `check-${transport}.conf`);
    const facts = { work: folder, port: 1, transport };
    writeFileSync(
      check,
      `${receiverConfig({ ...facts, file: check })}${senderModule(facts)}\n${senderAction(facts)}\n`,
    );
    const { status } = spawnSync(program, ['-N1', '-f', check], { stdio: 'ignore', timeout: 10_000 });
    if (status === 0) pipelines.push(pipeline({ program, version, transport }));
    else skipped.push(`rsyslogd does not know ${transport} (a package of its own?), which was not measured.`);
  }
  return { pipelines, skipped };
}

function pipeline({
  program,
  version,
  transport,
}: {
  program: string;
  version: string;
  transport: Transport;
}): Pipeline {
  return {
    name: `rsyslog, ${transport}`,
    version,
    note:
      'imfile → disk-assisted queue → ' +
      (transport === 'RELP' ? 'omrelp → imrelp' : 'omfwd → imtcp') +
      ' → disk-assisted queue → file. Nothing is synced to the disk; queues are saved at an ordered stop.',
    open: async ({ folder, text, lines }) => {
      const port = await freePort();
      const file = join(folder, 'received.log');
      return openFilePipeline({
        folder,
        port,
        file,
        lines,
        command: (config, work) => [program, '-n', '-i', join(work, 'pid'), '-f', config],
        receiver: (work) => receiverConfig({ work, port, transport, file }),
        sender: (work) => senderConfig({ work, port, transport, text }),
      });
    },
  };
}

interface Facts {
  /** Its own folder, for its queue. */
  work: string;
  port: number;
  transport: Transport;
}

/**
 * A queue in memory with a file behind it, and saved when it is asked to stop: what rsyslog's documents recommend where
 * the other side may be away. Attempts without end, a second apart (else it would be thirty).
 */
const QUEUE = [
  'queue.type="LinkedList"',
  'queue.size="200000"',
  'queue.maxDiskSpace="1g"',
  'queue.saveOnShutdown="on"',
  'queue.timeoutShutdown="10000"',
].join(' ');

function senderConfig({ text, ...facts }: Facts & { text: string }): string {
  return `global(workDirectory="${facts.work}")
module(load="imfile")
${senderModule(facts)}
input(type="imfile" File="${text}" Tag="bench:" ruleset="forward")
ruleset(name="forward") {
  ${senderAction(facts)}
}
`;
}

const senderModule = ({ transport }: Facts): string => (transport === 'RELP' ? 'module(load="omrelp")' : '');

function senderAction({ port, transport }: Facts): string {
  const retries = 'action.resumeRetryCount="-1" action.resumeInterval="1"';
  const queue = `${QUEUE} queue.filename="forward"`;
  if (transport === 'TCP') {
    return `action(type="omfwd" protocol="tcp" target="127.0.0.1" port="${port}" ${retries} ${queue})`;
  }
  // Its window of 128 messages would have both sides wait for delayed TCP acks, 40 ms at a time.
  return `action(type="omrelp" target="127.0.0.1" port="${port}" windowSize="10000" ${retries} ${queue})`;
}

function receiverConfig({ work, port, transport, file }: Facts & { file: string }): string {
  const module = transport === 'RELP' ? 'imrelp' : 'imtcp';
  return `global(workDirectory="${work}")
module(load="${module}")
main_queue(${QUEUE} queue.filename="main")
template(name="message" type="string" string="%msg%\\n")
input(type="${module}" port="${port}" address="127.0.0.1")
action(type="omfile" file="${file}" template="message")
`;
}
