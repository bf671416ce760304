import type Database from 'better-sqlite3';

export const APPLICATION_ID = 0x4b53504c; // "KSPL"
export const FORMAT_VERSION = 1;
/** What a row takes beside its bytes. */
export const ROW_BYTES = 64;

/** A row a record; bytes stand last, so that the rest is read without them. */
export const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE record (
    first_seq INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB
  );
`;

/** A row without its bytes. */
export interface Head {
  first_seq: number;
  count: number;
  lines: number;
  text_bytes: number;
  crc: number;
  size: number;
}

export type Statements = ReturnType<typeof statements>;

export function statements(db: Database.Database) {
  const head = 'SELECT first_seq, count, lines, text_bytes, crc, size FROM record';
  const stored = `${ROW_BYTES} + iif(bytes IS NULL, 0, size)`;
  return {
    get: db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?'),
    set: db.prepare<[string, string]>(
      'INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    ),
    unset: db.prepare<[string]>('DELETE FROM meta WHERE key = ?'),
    insert: db.prepare<[number, number, number, number, number, number, Buffer]>(
      'INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    from: db.prepare<[number], { first_seq: number; count: number; bytes: Buffer | null }>(
      'SELECT first_seq, count, bytes FROM record WHERE first_seq >= ? ORDER BY first_seq',
    ),
    /** With the bytes of those that are not acknowledged. */
    rows: db.prepare<[number], Head & { bytes: Buffer | null }>(
      `${head.replace(' FROM', ', iif(first_seq + count > ?, bytes, NULL) AS bytes FROM')} ORDER BY first_seq`,
    ),
    heads: db.prepare<[number, number], Head>(`${head} WHERE first_seq >= ? AND first_seq < ? ORDER BY first_seq`),
    headsFrom: db.prepare<[number], Head>(`${head} WHERE first_seq >= ? ORDER BY first_seq`),
    last: db.prepare<[], Head>(`${head} ORDER BY first_seq DESC LIMIT 1`),
    headBefore: db.prepare<[number], Head>(`${head} WHERE first_seq < ? ORDER BY first_seq DESC LIMIT 1`),
    gapsFrom: db.prepare<[number], { bytes: Buffer | null }>(
      'SELECT bytes FROM record WHERE first_seq >= ? AND lines = 0 ORDER BY first_seq',
    ),
    nth: db.prepare<[number], Head>(`${head} ORDER BY first_seq LIMIT 1 OFFSET ?`),
    firstWithBytes: db.prepare<[number], Head>(
      `${head} WHERE first_seq >= ? AND bytes IS NOT NULL ORDER BY first_seq LIMIT 1`,
    ),
    sum: db.prepare<[], { bytes: number; stubs: number }>(
      `SELECT coalesce(sum(${stored}), 0) AS bytes, coalesce(sum(bytes IS NULL), 0) AS stubs FROM record`,
    ),
    sumOf: db.prepare<[number, number], { rows: number; bytes: number }>(
      `SELECT count(*) AS rows, coalesce(sum(${stored}), 0) AS bytes FROM record WHERE first_seq >= ? AND first_seq < ?`,
    ),
    /** Rows without bytes from one seq on and below another. */
    stubs: db.prepare<[number, number], { firstSeq: number; count: number }>(
      `SELECT first_seq AS firstSeq, count FROM record
       WHERE first_seq >= ? AND first_seq < ? AND bytes IS NULL ORDER BY first_seq`,
    ),
    missing: db.prepare<[], { missing: number }>('SELECT coalesce(sum(count - lines), 0) AS missing FROM record'),
    remove: db.prepare<[number, number]>('DELETE FROM record WHERE first_seq >= ? AND first_seq < ?'),
    strip: db.prepare<[number]>('UPDATE record SET bytes = NULL WHERE first_seq = ?'),
    place: db.prepare<[number, number]>('UPDATE record SET first_seq = ? WHERE first_seq = ?'),
    describe: db.prepare<[number, number, number, number, number, number]>(
      'UPDATE record SET count = ?, lines = ?, text_bytes = ?, crc = ?, size = ? WHERE first_seq = ?',
    ),
    move: db.prepare<[number, number, Buffer, number]>(
      'UPDATE record SET first_seq = ?, crc = ?, bytes = ? WHERE first_seq = ?',
    ),
  };
}
