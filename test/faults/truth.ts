import type { AttemptOutcome, Sent } from './contract.ts';
import type { Evidence, StoredTask } from './evidence.ts';
import type { Author } from './text.ts';

/** What has to be in a task's log. */
export interface TaskTruth {
  task: string;
  writers: Writer[];
  /** Which attempt a run is of. */
  attempts: ReadonlyMap<string, number>;
  /** The last line that may have been trimmed; 0 if none may. */
  trimmed: number;
}

/** Who wrote lines of a task: an attempt of its script, or a sender. */
export type Writer = { author: Author; outcome: AttemptOutcome; sent?: undefined } | SendingWriter;

interface SendingWriter {
  author: Author;
  sent: Sent;
  outcome?: undefined;
}

export function truthsOf({ outcomes, sent, trimmed, store }: Evidence): TaskTruth[] {
  const truths = new Map<string, TaskTruth>();
  const add = (task: string, writer: Writer): void => {
    const truth = truths.get(task) ?? {
      ...{ task, writers: [], trimmed: trimmed.get(task) ?? 0 },
      attempts: attemptsOf(store.find((one) => one.task === task)),
    };
    truth.writers.push(writer);
    truths.set(task, truth);
  };
  for (const outcome of outcomes) {
    const { task, number: attempt, shape, seed } = outcome.attempt;
    add(task, { author: { task, attempt, shape: shape as Author['shape'], seed }, outcome });
  }
  for (const one of sent) {
    const author: Author = { task: one.task, attempt: 0, shape: 'sent', seed: one.seed };
    add(one.task, { author, sent: one });
  }
  return [...truths.values()];
}

function attemptsOf(stored: StoredTask | undefined): Map<string, number> {
  return new Map((stored?.runs ?? []).map(({ run, labels }) => [run, Number(labels.attempt ?? 0)]));
}

/** How often a line may be there again: as often as it was sent without an answer. */
export function timesInDoubt({ sent }: Writer, index: number): number {
  return sent === undefined ? 0 : sent.doubts.filter(({ from, to }) => from <= index && index < to).length;
}

/** Whether a line may stand behind its successors. */
export function mayBeLate({ sent }: Writer, index: number): boolean {
  return sent?.retried.includes(index) ?? false;
}
