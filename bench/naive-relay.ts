import Database from 'better-sqlite3';
import { WebSocketServer } from 'ws';

/**
 * The receiver of naive-agent.ts: a row a line, a transaction a message, `synchronous=FULL`, acknowledged when it is
 * committed. For comparison only.
 *
 *     node naive-relay.ts DATABASE      prints its port
 */
const db = new Database(process.argv[2]);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE line (seq INTEGER PRIMARY KEY, time INTEGER, source TEXT, level TEXT, message TEXT)');
const insert = db.prepare('INSERT INTO line VALUES (?, ?, ?, ?, ?)');

interface Line {
  seq: number;
  time: number;
  source: string;
  level: string;
  message: string;
}
const insertAll = db.transaction((lines: Line[]) => {
  for (const line of lines) insert.run(line.seq, line.time, line.source, line.level, line.message);
});

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data: Buffer) => {
    insertAll(JSON.parse(data.toString()) as Line[]);
    socket.send('ok');
  });
});
server.on('listening', () => {
  const address = server.address();
  if (typeof address === 'object' && address) console.log(address.port);
});
process.on('SIGTERM', () => {
  server.close();
  db.close();
  process.exit(0);
});
