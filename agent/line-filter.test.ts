import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveAgent } from '../shared/options/agent-config.ts';
import { parseConfig } from '../shared/options/file-text.ts';
import { compileFilter } from './line-filter.ts';

const surroundings = { env: {}, hostname: 'h', home: '/h', temporary: '/tmp', uid: 1 };

function filterOf({ exclude = '', include = '' }: { exclude?: string; include?: string }) {
  const env = { KERUTA_LOG_EXCLUDE_PATTERNS: exclude, KERUTA_LOG_INCLUDE_PATTERNS: include };
  return compileFilter(resolveAgent({ flags: {}, env, surroundings }));
}

describe('a line is shipped', () => {
  const LINES = ['INFO start', 'DEBUG cache hit', 'step 1 of 2', 'ERROR: no disk', '', 'デバッグ: 進捗'];
  const rows: [what: string, patterns: { exclude?: string; include?: string }, shipped: number[]][] = [
    ['if none of the patterns to leave out is found in it', { exclude: '^DEBUG ' }, [0, 2, 3, 4, 5]],
    ['if one of the patterns to keep is', { include: 'ERROR\n^step \\d+' }, [2, 3]],
    ['if both agree', { include: '^[A-Z]+', exclude: 'cache' }, [0, 3]],
    ['whatever the case, where the pattern says so', { exclude: '(?i)error|debug' }, [0, 2, 4, 5]],
    ['where patterns are of other scripts', { exclude: '^デバッグ' }, [0, 1, 2, 3, 4]],
    ['or not, if it is empty', { exclude: '^$' }, [0, 1, 2, 3, 5]],
  ];
  for (const [what, patterns, shipped] of rows) {
    test(what, () => {
      const filter = filterOf(patterns);
      assert.deepEqual(
        LINES.flatMap((line, i) => (filter.keeps(Buffer.from(line)) ? [i] : [])),
        shipped,
      );
    });
  }

  test('also if its bytes are no text', () => {
    assert.equal(filterOf({ exclude: 'x' }).keeps(Buffer.from([0xff, 0xfe, 0])), true);
    assert.equal(filterOf({ exclude: 'x' }).keeps(Buffer.from([0xff, 0x78, 0])), false);
  });
});

describe('a pattern that is refused is named with its place', () => {
  const rows: [pattern: string, problem: string][] = [
    ['(', 'missing closing ): `(`'],
    ['a**', 'invalid nested repetition operator: `**`'],
    ['(?=x)', 'invalid or unsupported Perl syntax: `(?=`'],
    ['(a)\\1', 'invalid escape sequence: `\\1`'],
    ['((a{100}){100}){100}', 'invalid repeat count: `{100}`'],
    [`${'('.repeat(5000)}${')'.repeat(5000)}`, 'expression nests too deeply'],
  ];
  for (const [pattern, problem] of rows) {
    test(pattern.slice(0, 30), () => {
      const message = `KERUTA_LOG_EXCLUDE_PATTERNS: ${JSON.stringify(pattern)} is no regular expression of RE2: ${problem}`;
      assert.throws(() => filterOf({ exclude: `fine\n${pattern}` }), {
        name: 'UsageError',
        message: `${message}; for example: ^\\[debug\\]`,
      });
    });
  }

  test('in the file', () => {
    const file = parseConfig('logStreaming:\n  filters:\n    includePatterns: ["ok", "["]\n', 'k.yaml');
    const settings = resolveAgent({ flags: {}, env: {}, file, surroundings });
    assert.throws(() => compileFilter(settings), {
      message: /^logStreaming\.filters\.includePatterns \(k\.yaml, line 3\): "\[" is no /,
    });
  });
});

test('a pattern that makes other engines run away takes its time in proportion', () => {
  const filter = filterOf({ exclude: '(a+)+$' });
  assert.equal(filter.keeps(Buffer.from(`${'a'.repeat(50_000)}!`)), true);
});

describe('of many patterns', () => {
  const many = (pattern: (i: number) => string) => Array.from({ length: 100 }, (_, i) => pattern(i)).join('\n');
  const rows: [what: string, patterns: string, found: string, not: string][] = [
    ['each is looked for', many((i) => `literal${i}$`), 'a literal99', 'a literal'],
    ['each has its own flags', `${many((i) => `(?i)^none${i}`)}\n^B|^c`, 'c', 'b'],
    ['alternatives stay its own', `${many((i) => `(?i)x${i}|y${i}`)}\n[a-b]|c$`, 'a c', 'dc.'],
    ['quotes stay its own', `(?i)none\n(?i)\\Q(b`, '(B', '(c'],
    ['groups may have the same name', '(?i)(?P<n>a)1\n(?i)(?P<n>b)1', 'B1', 'C1'],
    ['they may be large', many((i) => `(?i)(a{9}b{9}c?){20}${i}`), 'aaaaaaaaabbbbbbbbb'.repeat(20) + '7', 'a'],
  ];
  for (const [what, exclude, found, not] of rows) {
    test(what, () => {
      const filter = filterOf({ exclude });
      assert.deepEqual([filter.keeps(Buffer.from(found)), filter.keeps(Buffer.from(not))], [false, true]);
    });
  }

  test('they take hardly longer than one', () => {
    const line = Buffer.from('2026-01-02T03:04:05.678Z INFO worker-17 request handled path=/api/v1/items status=200');
    const timeOf = (exclude: string): number => {
      const filter = filterOf({ exclude });
      const round = (): number => {
        const since = performance.now();
        for (let i = 0; i < 2000; i++) filter.keeps(line);
        return performance.now() - since;
      };
      return Math.min(...Array.from({ length: 5 }, round));
    };
    assert.ok(timeOf(many((i) => `(?i)debug${i}`)) < 20 * timeOf('(?i)debug1'));
  });
});
