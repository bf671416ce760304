import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenPipeline } from './pipeline.ts';
import { FileTally, listening, startSide } from './programs.ts';

/** Two copies of one program, each with a configuration and a folder of its own; the receiver writes what comes into a file. */
export interface FilePipeline {
  folder: string;
  /** On which the receiver listens. */
  port: number;
  /** What the receiver writes, and how many lines it is to have. */
  file: string;
  lines: number;
  /** The command line for a configuration file and the folder of its process. */
  command: (config: string, work: string) => string[];
  /** Configurations, for the folder of their process. */
  receiver: (work: string) => string;
  sender: (work: string) => string;
}

export async function openFilePipeline(parts: FilePipeline): Promise<OpenPipeline> {
  const { folder, port, file, lines, command } = parts;
  const configured = (name: 'receiver' | 'sender'): string[] => {
    const work = join(folder, name);
    mkdirSync(work);
    const config = join(work, 'program.conf');
    writeFileSync(config, parts[name](work));
    return command(config, work);
  };
  const receiver = configured('receiver');
  const sender = configured('sender');
  const tally = new FileTally(file, lines);
  return {
    receiver: await startSide(receiver, { ready: () => listening(port) }),
    send: () => startSide(sender),
    arrived: () => tally.arrived(),
    kept: () => tally.arrived(),
    count: () => tally.count(),
  };
}
