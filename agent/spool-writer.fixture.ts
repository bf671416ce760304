import { encodeLines } from '../shared/columns.ts';
import { lineText } from './delivery.fixture.ts';
import { SpoolFile } from './spool-file.ts';

/** A program that writes to the spool that is its argument until it is killed, and says how far it is. */
const run = '01J00000000000000000000000';
const meta = { task: 't1', run, url: '', workerId: 'w1', labels: {}, agentVersion: '0.0.0', startedAt: 1 };
const spool = SpoolFile.create(process.argv[2], meta);
for (let seq = 0; ; seq += 3) {
  const lines = [0, 1, 2].map((i) => ({ time: 1, kind: 4, text: Buffer.from(lineText(seq + i, 200)) }));
  spool.write({ records: [encodeLines(run, seq, lines)], limitBytes: Infinity });
  process.stdout.write(`${spool.nextSeq}\n`);
}
