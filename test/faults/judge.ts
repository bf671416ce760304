import type { CalmRound, Verdict } from './contract.ts';
import { judge } from './oracle.ts';
import { readStore } from './store.ts';

/** Reads the whole store and judges it and what readers saw. Rejects if the store can't be read in time. */
export async function judgeRound(round: CalmRound): Promise<Verdict> {
  const { direct, outcomes, senders, readers, trimmed } = round;
  const sent = senders.map((sender) => sender.sent);
  const tasks = new Set([...outcomes.map(({ attempt }) => attempt.task), ...sent.map(({ task }) => task)]);
  const store = await readStore(direct, [...tasks], AbortSignal.timeout(READ_MS));
  return judge({ outcomes, sent, trimmed, store, readers }).total;
}

const READ_MS = 60_000;
