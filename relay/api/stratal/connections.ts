/** Who listens to Stratal's streams: how many of each job run and of everything, by transport. */
export class Connections {
  readonly #global: Counts = { websocket: 0, sse: 0 };
  /** Those that somebody listens to. */
  readonly #jobs = new Map<string, Counts>();

  /** One more; one less when the answer is called. */
  join(job: string | undefined, transport: keyof Counts): () => void {
    const counts = job === undefined ? this.#global : (this.#jobs.get(job) ?? { websocket: 0, sse: 0 });
    if (job !== undefined) this.#jobs.set(job, counts);
    counts[transport]++;
    let joined = true;
    return () => {
      if (!joined) return;
      joined = false;
      counts[transport]--;
      if (job !== undefined && counts.websocket + counts.sse === 0) this.#jobs.delete(job);
    };
  }

  /** What the status route says, of the job runs that `shows` lets through. */
  report(shows: (job: string) => boolean): { global: Counts; jobs: Record<string, Counts> } {
    const shown = [...this.#jobs].filter(([job]) => shows(job));
    // An id may be `__proto__`.
    return {
      global: { ...this.#global },
      jobs: Object.fromEntries(shown.map(([job, counts]) => [job, { ...counts }])),
    };
  }
}

interface Counts {
  websocket: number;
  sse: number;
}
