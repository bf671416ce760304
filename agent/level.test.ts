import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { LEVELS, type Level } from '../shared/line.ts';
import { AMBIGUOUS, LevelDetector } from './level.ts';

type Row = [level: Level | 'ambiguous', line: string];

/** The rules, by example. */
const ROWS: Row[] = [
  // JSON: word or number
  ['ERROR', '{"level":"error","msg":"INFO is not meant"}'],
  ['WARN', '{"time":"2026-01-02T03:04:05Z","severity":"WARNING","message":"x"}'],
  ['INFO', '{"level":30,"time":1531171074631,"msg":"hello world","pid":657}'],
  ['ERROR', '{"level": 60, "msg":"pino says fatal"}'],
  ['DEBUG', '{"lvl":"trace"}'],
  ['WARN', '{"version":"1.1","level":4,"short_message":"GELF counts like syslog"}'],
  ['ambiguous', '{"msg":"no level here, ERROR or not"}'],
  ['ambiguous', '{"msg":"a quoted \\"level\\":\\"error\\" is text"}'],
  ['ambiguous', '{"level":"loud"}'],
  // key=value
  ['INFO', 'time=2026-01-02T03:04:05Z level=info msg="ERROR is text"'],
  ['WARN', 'ts=1 lvl="warning" x=1'],
  ['ERROR', 'severity=CRITICAL code=7'],
  ['ambiguous', 'level=high water=low'],
  // in brackets, any case
  ['WARN', '[warn] deprecated'],
  ['ERROR', '2026-01-02 03:04:05 [ERROR] disk'],
  ['ERROR', '[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6'],
  ['INFO', '(info) started'],
  ['DEBUG', '<debug> x'],
  ['WARN', '12:00:01 |WARN| x'],
  // followed by a colon, any case
  ['ERROR', 'error: cannot find module'],
  ['ERROR', 'src/main.c:12:3: error: expected ;'],
  ['WARN', 'src/main.c:12:3: warning: unused'],
  ['INFO', 'info: listening'],
  // in capitals, alone
  ['INFO', '2026-01-02 03:04:05,678 INFO [main] org.example.Main: up'],
  ['WARN', '2026-01-02T03:04:05.678Z WARN  worker-3 slow'],
  ['ERROR', 'FATAL could not open'],
  ['ERROR', 'npm ERR! code ELIFECYCLE'],
  ['INFO', '081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 terminating'],
  ['INFO', '\x1b[32mINFO\x1b[0m coloured'],
  ['ERROR', '\x1b[1;31mERROR\x1b[0m: coloured'],
  ['DEBUG', 'TRACE x'],
  ['INFO', 'NOTICE: x'],
  [
    'INFO',
    '- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.363779 R02-M1-N0-C:J12-U11 RAS KERNEL INFO x',
  ],
  // one letter
  ['ERROR', 'E0102 15:04:05.123456 1 server.go:12] failed'],
  ['DEBUG', '03-17 16:13:38.811  1702  2395 D WindowManager: printFreezingDisplayLogs'],
  ['WARN', '03-17 16:13:45.382  1702  8671 W ActivityManager: getTasks'],
  // ambiguous
  ['ambiguous', ''],
  ['ambiguous', 'hello'],
  ['ambiguous', 'Error handling is enabled'],
  ['ambiguous', 'no errors found'],
  ['ambiguous', 'the error count is 0'],
  ['ambiguous', 'ERRORS 5'],
  ['ambiguous', 'MY_ERROR_CODE=5'],
  ['ambiguous', 'LOG_LEVEL_INFO'],
  ['ambiguous', 'informational: x y'],
  ['ambiguous', `${'word '.repeat(20)}ERROR far behind the words that come first`],
];

function detect(detector: LevelDetector, line: string): Row[0] {
  const bytes = Buffer.from(line);
  const level = detector.detect(bytes, 0, bytes.length);
  return level === AMBIGUOUS ? 'ambiguous' : LEVELS[level];
}

describe('level of a line', () => {
  for (const [level, line] of ROWS) {
    test(`${level}: ${JSON.stringify(line)}`, () => {
      assert.equal(detect(new LevelDetector(), line), level);
    });
  }

  test('does not depend on the lines before', () => {
    const detector = new LevelDetector();
    for (const [, before] of ROWS) {
      for (const [level, line] of ROWS) {
        detect(detector, before);
        assert.equal(detect(detector, line), level, `${JSON.stringify(line)} behind ${JSON.stringify(before)}`);
      }
    }
  });

  test('does not depend on what surrounds the line in its block', () => {
    for (const [level, line] of ROWS) {
      const block = Buffer.from(`ERROR ${line} ERROR`);
      const found = new LevelDetector().detect(block, 6, 6 + Buffer.byteLength(line));
      assert.equal(found === AMBIGUOUS ? 'ambiguous' : LEVELS[found], level, line);
    }
  });

  const logs = new URL('../../shared/data/loghub/', import.meta.url);
  test(
    'is the same with and without memory on real logs',
    { skip: existsSync(logs) ? false : 'no real logs beside this checkout' },
    () => {
      for (const file of readdirSync(logs).filter((name) => name.endsWith('.log'))) {
        const detector = new LevelDetector();
        for (const line of readFileSync(new URL(file, logs), 'latin1').split('\n')) {
          assert.equal(detect(detector, line), detect(new LevelDetector(), line), `${file}: ${line}`);
        }
      }
    },
  );
});
