/** A fault that has happened. */
export interface Fault {
  kind: string;
  /** A named point; else what it happened to: `relay`, `agent's link`, … */
  at: string;
  /** A script was writing, or an agent had lines that were not acknowledged. */
  inFlight: boolean;
}

/** What happened in a storm: faults by kind and place, and how long it took until lines came again. */
export class Tally {
  readonly #faults = new Map<string, { kind: string; at: string; all: number; inFlight: number }>();
  readonly recoveries: number[] = [];
  onFault: () => void = () => undefined;

  add({ kind, at, inFlight }: Fault): void {
    const key = `${kind} ${at}`;
    const row = this.#faults.get(key) ?? { kind, at, all: 0, inFlight: 0 };
    this.#faults.set(key, row);
    row.all++;
    if (inFlight) row.inFlight++;
    this.onFault();
  }

  recovered(ms: number): void {
    this.recoveries.push(ms);
  }

  /** How many there were of a kind at a place while lines were in flight. */
  inFlight(kind: string, at: string): number {
    return this.#faults.get(`${kind} ${at}`)?.inFlight ?? 0;
  }

  get rows(): { kind: string; at: string; all: number; inFlight: number }[] {
    return [...this.#faults.values()];
  }

  get total(): { all: number; inFlight: number } {
    const sum = { all: 0, inFlight: 0 };
    for (const { all, inFlight } of this.rows) {
      sum.all += all;
      sum.inFlight += inFlight;
    }
    return sum;
  }
}
