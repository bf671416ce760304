import { ask, textOfAnswer } from '../http.ts';
import { Follower, Refused } from './follower.ts';
import { gapSighting, lineSighting, type KerutaGap, type KerutaLine } from './sightings.ts';

/**
 * Takes the whole log as a file, again and again. One that breaks off counts for nothing; of one that is whole, what it
 * has beyond the last one was seen, and the rest must be as it was.
 */
export class ExportReader extends Follower {
  /** What the last whole one said of each line. */
  #known: (string | undefined)[] = [];

  protected override async session(signal: AbortSignal): Promise<void> {
    const [task] = this.tasks;
    const path = `/api/v1/tasks/${encodeURIComponent(task)}/logs/export?format=ndjson`;
    while (!signal.aborted) {
      const answer = await ask(this.entrance, { path, signal });
      const text = await textOfAnswer(answer);
      if (answer.statusCode === 200) this.#take(task, text);
      else if (answer.statusCode !== 404 && (answer.statusCode ?? 0) < 500 && answer.statusCode !== 429)
        throw new Refused(`HTTP ${answer.statusCode} for ${path}: ${text}`);
      await this.pause(EVERY_MS, signal);
    }
  }

  #take(task: string, text: string): void {
    const rows = text.split('\n');
    if (rows.pop() !== '') throw new Refused('an export that came to its end ends in the middle of a line');
    for (const row of rows) {
      const entry = JSON.parse(row) as KerutaLine | { gap: KerutaGap };
      const sighting = 'gap' in entry ? gapSighting(task, entry.gap) : lineSighting(entry);
      if (sighting.type === 'gap') {
        if (sighting.toLine >= (this.next.get(task) ?? 1)) this.saw(sighting);
        continue;
      }
      const { line = 0 } = sighting;
      const known = this.#known[line];
      if (known === undefined) {
        this.#known[line] = sighting.text;
        this.saw(sighting);
      } else if (known !== sighting.text)
        throw new Refused(`line ${line} of ${task} was "${known}" in an earlier export`);
    }
  }
}

/** It is all that there is, each time. */
const EVERY_MS = 4000;
