import type { Level } from '../shared/line.ts';
import type { DiskState } from './disk.ts';
import type { Forgotten } from './expiry-sum.ts';

/** Something that happened to the relay: of what kind, in a sentence, and what else is known of it. */
export interface SystemEvent {
  event: string;
  level: Level;
  text: string;
  details?: Readonly<Record<string, string | number>>;
}

interface Run {
  task: string;
  run: string;
}

export function relayStarted(details: { version: string; epoch: string }): SystemEvent {
  return { event: 'relay-started', level: 'INFO', text: `The relay has started, version ${details.version}`, details };
}

export function relayStopping(): SystemEvent {
  return { event: 'relay-stopping', level: 'INFO', text: 'The relay is stopping' };
}

export function agentLost({ task, run }: Run): SystemEvent {
  const text = `Lost the agent of task ${JSON.stringify(task)}: it has been silent for too long`;
  return { event: 'agent-lost', level: 'WARN', text, details: { task, run } };
}

export function runUnverified({ task, run }: Run): SystemEvent {
  const text = `A run of task ${JSON.stringify(task)} ended with other lines here than its agent has sent`;
  return { event: 'run-unverified', level: 'ERROR', text, details: { task, run } };
}

export function linesExpired(forgotten: Forgotten): SystemEvent {
  const text = `Forgot ${forgotten.lines} lines that were too old or too many`;
  return { event: 'lines-expired', level: 'INFO', text, details: { ...forgotten } };
}

export function diskChanged({ room, problem = 'no room' }: DiskState): SystemEvent {
  return room
    ? { event: 'disk-room', level: 'INFO', text: 'There is room on the disk again: agents are let in' }
    : { event: 'disk-full', level: 'ERROR', text: `No room on the disk, agents are sent away: ${problem}` };
}

export function certificateChanged(): SystemEvent {
  return { event: 'certificate-changed', level: 'INFO', text: 'The TLS certificate has changed' };
}
