import type Database from 'better-sqlite3';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf } from '../../shared/line.ts';
import { newUlid } from '../../shared/ulid.ts';
import { Ledger } from './sqlite-ledger.ts';
import { openForWriting } from './sqlite-schema.ts';
import type { OpenedRun, OpenRun } from './store.ts';

const RUN = newUlid(1);
const OPEN: OpenRun = {
  ...{ task: 't', run: RUN, workerId: 'w', labels: {}, agentVersion: '0' },
  ...{ startedAt: 1, ackedSeq: 0, now: 1 },
};

function openLedger(t: TestContext): { ledger: Ledger; db: Database.Database } {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-ledger-'));
  const db = openForWriting(join(folder, 'store.db'));
  t.after(() => {
    db.close();
    rmSync(folder, { recursive: true });
  });
  return { ledger: new Ledger(db), db };
}

/** What every answer tells of the store. */
const told = ({ epoch, generation, nextPosition, change }: Ledger) => ({ epoch, generation, nextPosition, change });

test('nothing is told of a transaction that was taken back', (t) => {
  const { ledger } = openLedger(t);
  ledger.begin();
  const { fence } = ledger.other({ type: 'open', open: OPEN }) as OpenedRun;
  ledger.commit();
  const before = told(ledger);
  ledger.begin();
  const bytes = encodeLines(RUN, 0, [{ time: 1, kind: kindOf('stdout', 'INFO'), text: Buffer.from('a') }]);
  ledger.append({ task: 't', run: RUN, fence, bytes, now: 2 });
  ledger.other({ type: 'annotate', task: 't', note: { message: 'm' }, now: 2 });
  // An agent that knows of more than the store: a restored copy, which gets a new epoch.
  ledger.other({ type: 'open', open: { ...OPEN, epoch: before.epoch, ackedSeq: 9 } });
  assert.notDeepEqual(told(ledger), before);
  ledger.rollback();
  assert.deepEqual(told(ledger), before);
  ledger.begin();
  assert.deepEqual(ledger.commit(), []);
  assert.deepEqual(told(ledger), before);
});

test('of a call that was taken back, the head is told as it is', (t) => {
  const { ledger, db } = openLedger(t);
  ledger.begin();
  ledger.other({ type: 'open', open: OPEN });
  ledger.other({ type: 'markLost', before: 5, now: 5 });
  const [{ revision }] = ledger.commit();
  db.exec(`CREATE TEMP TRIGGER broken BEFORE UPDATE ON run WHEN NEW.fence = 2 BEGIN SELECT RAISE(ABORT, 'no'); END`);
  const before = told(ledger);
  ledger.begin();
  // Its status has changed by the time its new fence can't be written.
  assert.throws(() => ledger.other({ type: 'open', open: OPEN }), /no/);
  for (const head of ledger.commit()) assert.deepEqual(head, { task: 't', nextLine: 1, revision });
  assert.deepEqual(told(ledger), before);
});
