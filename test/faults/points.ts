import type { Edit } from './edits.ts';

/** A place on a line's way at which a fault can happen, by its name. */
export interface Point {
  name: PointName;
  program: 'agent' | 'relay';
  file: string;
  anchor: string;
  side: 'before' | 'behind';
  /** Code that says whether the place is meant, where the text alone does not. */
  when?: string;
}

export type PointName = (typeof ALL)[number]['name'];

/** All of them, in the order in which a line passes them. */
const ALL = [
  {
    name: 'agent/after-read',
    program: 'agent',
    file: 'agent/capture.ts',
    anchor: 'this.blocks++;',
    side: 'behind',
  },
  {
    name: 'agent/before-spool-commit',
    program: 'agent',
    file: 'agent/spool-file.ts',
    anchor: 'this.#evict(batch.limitBytes);',
    side: 'before',
  },
  {
    name: 'agent/after-spool-commit',
    program: 'agent',
    file: 'agent/spool-file.ts',
    anchor: 'this.#evict(batch.limitBytes);\n    });',
    side: 'behind',
  },
  {
    name: 'agent/after-send',
    program: 'agent',
    file: 'agent/uplink.ts',
    anchor: 'this.#flight.push(record, record.bytes.length);',
    side: 'behind',
  },
  {
    name: 'agent/before-ack-noted',
    program: 'agent',
    file: 'agent/uplink.ts',
    anchor: 'this.#backlog.setAcked(this.#flight.acked);',
    side: 'before',
  },
  {
    name: 'agent/after-ack-noted',
    program: 'agent',
    file: 'agent/uplink.ts',
    anchor: 'this.#backlog.setAcked(this.#flight.acked);',
    side: 'behind',
  },
  {
    name: 'agent/end-spooled',
    program: 'agent',
    file: 'agent/spool-file.ts',
    anchor: 'this.#evict(batch.limitBytes);\n    });',
    side: 'behind',
    when: 'batch.end',
  },
  {
    name: 'agent/before-end-sent',
    program: 'agent',
    file: 'agent/uplink.ts',
    anchor: "connection.send(JSON.stringify({ type: 'end',",
    side: 'before',
  },
  {
    name: 'agent/verified',
    program: 'agent',
    file: 'agent/uplink.ts',
    anchor: 'this.outcome = type;',
    side: 'before',
  },
  {
    name: 'relay/opening',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: 'this.#db = openForWriting(options.path, options.maxBytes);',
    side: 'before',
  },
  {
    name: 'relay/recovered',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: 'this.#ledger = new Ledger(this.#db);',
    side: 'behind',
  },
  {
    name: 'relay/before-commit',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: 'return { outcomes, changed: this.#ledger.commit() };',
    side: 'before',
  },
  {
    name: 'relay/after-commit',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: 'const { outcomes, changed } = this.#run(unpackGroup(group));',
    side: 'behind',
  },
  {
    name: 'relay/answered',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: "this.#answer({ type: 'group', state: this.#state(), answer, changed, ms }, [answer.bytes]);",
    side: 'behind',
  },
  {
    name: 'relay/before-ack',
    program: 'relay',
    file: 'relay/ingest-run.ts',
    anchor: "this.#link.send({ type: 'ack', nextSeq: this.#nextSeq });",
    side: 'before',
  },
  {
    name: 'relay/after-ack',
    program: 'relay',
    file: 'relay/ingest-run.ts',
    anchor: "this.#link.send({ type: 'ack', nextSeq: this.#nextSeq });",
    side: 'behind',
  },
  {
    name: 'relay/merged',
    program: 'relay',
    file: 'relay/store/sqlite-merger.ts',
    anchor: 'const done = await this.#send(batch.map(({ swap }) => swap));',
    side: 'before',
  },
  {
    name: 'relay/in-swap',
    program: 'relay',
    file: 'relay/store/sqlite-swaps.ts',
    anchor: 'this.#chunks.replace({ task, firstLine, place: merged.place, bytes, header, at, level });',
    side: 'behind',
  },
  {
    name: 'relay/after-swap',
    program: 'relay',
    file: 'relay/store/sqlite-merging.ts',
    anchor: 'const done = transaction(() => some.map((swap) => ledger.swaps.swap(swap)));',
    side: 'behind',
  },
  {
    name: 'relay/in-trim',
    program: 'relay',
    file: 'relay/store/sqlite-forget.ts',
    anchor: 'for (const chunk of chunks) lines += this.#forget(task, chunk, through).lines;',
    side: 'behind',
  },
  {
    name: 'relay/after-trim',
    program: 'relay',
    file: 'relay/store/sqlite-writer.ts',
    anchor: 'const done = this.#transaction(step);',
    side: 'behind',
  },
  {
    name: 'relay/before-end-commit',
    program: 'relay',
    file: 'relay/store/sqlite-ledger.ts',
    anchor: 'run.task.openRuns--;',
    side: 'behind',
  },
  {
    name: 'relay/after-end-commit',
    program: 'relay',
    file: 'relay/ingest-run.ts',
    anchor: 'const { nextSeq } = outcome;\n    if (outcome.outcome ===',
    side: 'before',
  },
] as const satisfies readonly (Omit<Point, 'name'> & { name: string })[];

export const POINTS: readonly Point[] = ALL;

export function pointsOf(program: Point['program']): PointName[] {
  return POINTS.filter((point) => point.program === program).map(({ name }) => name);
}

/** What makes a point of its place: a call of what hook.ts puts there. */
export function editOf({ name, file, anchor, side, when }: Point): Edit {
  const call = `globalThis.${ON_POINT}(${JSON.stringify(name)})`;
  return { name, file, anchor, [side]: when === undefined ? ` ${call}; ` : ` if (${when}) ${call}; ` };
}

/** The global function that a point calls. */
export const ON_POINT = 'onStormPoint';
