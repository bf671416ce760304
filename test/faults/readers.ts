import { Random } from '../random.ts';
import type { Entrance, StormReader } from './contract.ts';
import { ExportReader } from './readers/export.ts';
import { KerutaSocketReader } from './readers/keruta-socket.ts';
import { LogsProcessReader } from './readers/logs-process.ts';
import { OttoEventsReader, OttoSocketReader } from './readers/otto.ts';
import { PagesReader } from './readers/pages.ts';
import { SdkReader } from './readers/sdk.ts';
import { StratalEventsReader, StratalSocketReader } from './readers/stratal.ts';
import { sentTasks } from './senders.ts';

/** Readers of every API, who begin at once. Some come and go by themselves, the others only if something breaks. */
export function openReaders({ entrance, tasks, pipeline, seed }: ReadersOptions): StormReader[] {
  const random = new Random(seed);
  const start = random.below(tasks.length);
  let turn = 0;
  const base = { entrance, random };
  /** The tasks take turns. */
  const one = (name: string): Named & { task: string } => {
    const task = tasks[(start + turn++) % tasks.length];
    return { ...base, name: `${name} of ${task}`, task, tasks: [task] };
  };
  const piped = (name: string): Named => ({ ...base, name: `${name} of ${pipeline}`, tasks });
  const everything = (name: string): Named => ({
    ...{ ...base, name: `${name} of everything` },
    tasks: [...tasks, ...sentTasks()],
  });
  const restless = { leavesAfterMs: 3000 };

  const [socket, sdk] = [one('keruta WebSocket'), one('SDK')];
  return [
    new KerutaSocketReader({ ...socket, of: { task: socket.task }, batch: false }),
    new KerutaSocketReader({ ...everything('keruta WebSocket'), of: { all: true }, batch: true, ...restless }),
    new KerutaSocketReader({ ...piped('keruta WebSocket'), of: { pipelineId: pipeline }, batch: false }),
    new SdkReader({ ...sdk, target: { task: sdk.task }, ...restless }),
    new SdkReader({ ...piped('SDK'), target: { pipeline } }),
    new StratalSocketReader({ ...piped('Stratal WebSocket'), job: pipeline, ...restless }),
    new StratalEventsReader(everything('Stratal events')),
    new OttoEventsReader({ ...one('Otto events'), ...restless }),
    new OttoEventsReader(everything('Otto events')),
    new OttoSocketReader({ ...one('Otto Socket.IO'), transports: ['websocket'] }),
    new OttoSocketReader({ ...one('Otto Socket.IO, polling,'), transports: ['polling'], leavesAfterMs: 5000 }),
    new PagesReader(one('pages')),
    new ExportReader(one('exports')),
    new LogsProcessReader({ ...one('keruta-agent logs'), leavesAfterMs: 12_000 }),
  ].map((reader) => reader.start());
}

interface Named {
  entrance: Entrance;
  random: Random;
  name: string;
  tasks: readonly string[];
}

export interface ReadersOptions {
  entrance: Entrance;
  tasks: readonly string[];
  pipeline: string;
  seed: number;
}
