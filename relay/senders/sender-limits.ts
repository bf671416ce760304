import type { Principal } from '../auth/principal.ts';

/** How much may be sent, and by whom. */
export interface SenderLimits {
  /** Counts lines that came; answers for how many ms no more shall be taken of this sender, 0 for none. */
  lines(from: LinesFrom, lines: number, bytes: number): number;
  /** Counts lines that may be refused. Throws a KerutaError RATE_LIMIT_EXCEEDED, and then they are not counted. */
  admitLines(from: LinesFrom, lines: number, bytes: number): void;
  /** Counts a task that the principal writes to. Throws a KerutaError RATE_LIMIT_EXCEEDED if that is one too many. */
  task(principal: Principal, task: string): void;
}

export const UNLIMITED: SenderLimits = {
  lines: () => 0,
  admitLines: () => undefined,
  task: () => undefined,
};

interface LinesFrom {
  address: string;
  task: string;
  principal: Principal;
}
