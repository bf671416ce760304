import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { taskIdProblem } from '../../shared/task-id.ts';
import type { Context } from '../programs.ts';
import { hunt } from './hunt.ts';
import { mutations } from './mutations.ts';
import { TOKEN, Victim } from './victim.ts';

const TIMEOUT = { timeout: 120_000 };
const FORGED = 'a line that nobody logged';
const AUTH = `authorization: Bearer ${TOKEN}`;

let victim: Victim;
const ends: (() => void)[] = [];
const context: Context = { after: (end) => ends.push(end) };
before(async () => {
  victim = await Victim.start(context);
});
after(() => ends.toReversed().forEach((end) => end()));

describe('a request that is none, or more than one', TIMEOUT, () => {
  const target = fc.oneof(
    fc.constantFrom(
      '/',
      '*',
      '//',
      '/api/v1/tasks',
      '/api/v1/tasks/t/logs',
      '/health',
      '/socket.io/',
      '/metrics',
      '/ws',
    ),
    fc.constantFrom(
      'http://evil/api/v1/tasks',
      'evil:443',
      '/..%2f..%2fetc/passwd',
      '/%00',
      '/%',
      '/%ff',
      '/a?%',
      '/a?=&&',
    ),
    fc.constantFrom(
      '/api/v1/tasks/%0d%0aX-Forged:1/logs',
      `/${'a'.repeat(20_000)}`,
      '/\u00e9',
      '/\x01',
      '/api/v1/logs/export',
    ),
    fc.string({ maxLength: 20 }).map((text) => `/api/v1/tasks/${encodeURIComponent(text.toWellFormed())}/logs/export`),
    fc.string({ maxLength: 20 }).map((text) => `/api/v1/tasks/t/logs?${text.replaceAll(/\s/g, '')}`),
  );
  const header = fc.constantFrom(
    ...['content-length: 5', 'content-length: 0', 'content-length: -1', 'content-length: 5, 6', 'content-length: 1e3'],
    ...[
      'transfer-encoding: chunked',
      'transfer-encoding: identity, chunked',
      'transfer-encoding: xchunked',
      'te: trailers',
    ],
    ...['Transfer-Encoding : chunked', 'transfer-encoding:\tchunked', 'content-length: 99999999999999999999'],
    ...['host: a', 'host: b', 'host:', 'connection: close', 'connection: keep-alive, upgrade', 'upgrade: h2c'],
    ...[
      'expect: 100-continue',
      'expect: x',
      AUTH,
      'authorization: Bearer',
      'authorization: \u00ff',
      `cookie: ${TOKEN}`,
    ],
    ...['content-type: application/json', 'content-type: text/plain', 'content-type: ,', 'content-encoding: gzip'],
    ...[
      'last-event-id: \u00ff\u00fe',
      `x-request-id: ${FORGED}`,
      'x-request-id: a"},\\n{"level":50',
      'x-forwarded-for: 1.2.3.4',
    ],
    ...[
      ' folded: line',
      '\tfolded',
      'no colon',
      ': empty',
      'a\x00b: c',
      'a: b\x00c',
      'x: y\rz: a',
      'x: y\nz: a',
      '__proto__: x',
    ],
    ...[
      `big: ${'x'.repeat(20_000)}`,
      'range: bytes=0-1',
      'origin: http://evil',
      'if-none-match: *',
      'accept-encoding: ,,;q=',
    ],
  );
  const body = fc.constantFrom(
    ...[
      '',
      'hello',
      '0\r\n\r\n',
      '5\r\nhello\r\n0\r\n\r\n',
      'fffffffff\r\nx',
      '5;a=b\r\nhello\r\n',
      '-1\r\n\r\n',
      '5\nhello\n0\n\n',
    ],
    ...[
      '{"level":"INFO","message":"\\ud800"}',
      '[]',
      `GET /health HTTP/1.1\r\nhost: a\r\n\r\n`,
      '\x00\xff',
      'x'.repeat(70_000),
    ],
  );
  const line = fc.tuple(
    fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'get', 'G\x00T', ''),
    target,
    fc.constantFrom(' HTTP/1.1', ' HTTP/1.0', ' HTTP/0.9', ' HTTP/2.0', '', ' HTTP/1.1 x', '\tHTTP/1.1', ' HTTP/9'),
  );
  const request = fc
    .tuple(line, fc.array(header, { maxLength: 5 }), body, fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r'))
    .map(([[method, path, version], headers, content, end]) =>
      Buffer.from([`${method} ${path}${version}`, ...headers, '', content].join(end), 'latin1'),
    );
  const golden = [
    `POST /api/v1/tasks/t/logs HTTP/1.1\r\nhost: a\r\n${AUTH}\r\ncontent-type: application/json\r\ncontent-length: 32\r\n\r\n{"level":"INFO","message":"abc"}`,
    `GET /api/v1/tasks/t/logs?q=a&level=INFO HTTP/1.1\r\nhost: a\r\n${AUTH}\r\n\r\n`,
    `POST /api/v1/tasks/t/logs HTTP/1.1\r\nhost: a\r\n${AUTH}\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  ].map((text) => Buffer.from(text));
  const changed = fc.tuple(fc.constantFrom(...golden), mutations(golden)).map(([bytes, mutate]) => mutate(bytes));

  test('is answered or cut, and never by our fault', async () => {
    const { descriptors } = victim;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(request, changed), { minLength: 1, maxLength: 3 }), async (requests) => {
        const answers = await victim.answer(Buffer.concat(requests));
        for (const [, status] of answers.matchAll(/^HTTP\/1\.1 (\d+)/gm)) assert.notEqual(status, '500', answers);
        assert.doesNotMatch(answers, /^x-forged:/im);
        assert.doesNotMatch(answers, /\n +at |node_modules|\.ts:\d/);
        assert.ok(!answers.includes(TOKEN));
      }),
      hunt(250),
    );
    await victim.isUnharmed({ descriptors }, [FORGED]);
  });

  const smuggled = 'GET /api/v1/whoami HTTP/1.1\r\nhost: smuggled\r\n\r\n';
  const rows: [what: string, headers: string[], content: string][] = [
    ['a length and chunks', ['content-length: 5', 'transfer-encoding: chunked'], `0\r\n\r\n${smuggled}`],
    ['chunks and a length', ['transfer-encoding: chunked', 'content-length: 5'], `0\r\n\r\n${smuggled}`],
    ['two lengths', ['content-length: 5', `content-length: ${5 + smuggled.length}`], `hello${smuggled}`],
    ['a list of lengths', ['content-length: 5, 5'], `hello${smuggled}`],
    ['a length with a sign', ['content-length: +5'], `hello${smuggled}`],
    ['chunks that are not the last coding', ['transfer-encoding: chunked, identity'], `0\r\n\r\n${smuggled}`],
    ['chunks by another name', ['transfer-encoding: xchunked'], `0\r\n\r\n${smuggled}`],
    ['a blank before the colon', ['transfer-encoding : chunked'], `0\r\n\r\n${smuggled}`],
    ['a folded header', ['transfer-encoding:', ' chunked'], `0\r\n\r\n${smuggled}`],
    ['a chunk without \\r', ['transfer-encoding: chunked'], `0\n\n${smuggled}`],
    ['a length that is too large for a number', ['content-length: 18446744073709551621'], `hello${smuggled}`],
  ];
  for (const [what, headers, content] of rows) {
    test(`with ${what} is refused, and what stands behind it is no other`, async () => {
      const head = ['POST /api/v1/tasks/t/logs HTTP/1.1', 'host: a', AUTH, 'content-type: text/plain', ...headers];
      const answers = await victim.answer([...head, '', content].join('\r\n'), { waits: true });
      assert.deepEqual(
        Array.from(answers.matchAll(/^HTTP\/1\.1 (\d+)/gm), ([, status]) => status),
        ['400'],
        answers,
      );
    });
  }
});

describe('a task id of any kind', TIMEOUT, () => {
  const id = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '%2e%2e',
      '../../etc/passwd',
      'a/b',
      'a%2fb',
      'a\\b',
      '__proto__',
      'constructor',
      '漢字',
      '🎉',
    ),
    fc.constantFrom(
      'a\r\nx-forged: 1',
      'a"; filename="b',
      "a'b",
      'a;b',
      '=1+1',
      '<script>',
      '\u202eabc',
      'a\u0000',
      '*',
      '?',
      '#',
    ),
    fc.constantFrom(
      'x'.repeat(256),
      'x'.repeat(257),
      '漢'.repeat(86),
      ' ',
      '  a  ',
      '-rf',
      'CON',
      `a\n{"level":60,"msg":"${FORGED}"}`,
    ),
    fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.toWellFormed()),
  );

  test('is stored, listed, read, followed and saved under exactly that name, or refused', async () => {
    const { descriptors } = victim;
    await fc.assert(
      fc.asyncProperty(id, async (task) => {
        const path = `/api/v1/tasks/${encodeURIComponent(task)}`;
        const body = '{"level":"INFO","message":"of it"}';
        const posted = await victim.ask(`${path}/logs`, { method: 'POST', body });
        if (taskIdProblem(task) !== undefined) {
          // What URLs take for path steps, clients resolve.
          assert.ok([400, 404].includes(posted.status) || /^\.\.?$/.test(task), posted.text);
          return;
        }
        assert.equal(posted.status, 201, posted.text);
        const read = JSON.parse((await victim.ask(path)).text) as { taskId: string };
        assert.equal(read.taskId, task);
        for (const format of ['json', 'csv', 'txt', 'ndjson']) {
          const saved = await victim.ask(`${path}/logs/export?format=${format}`);
          assert.equal(saved.status, 200);
          const disposition = String(saved.headers['content-disposition']);
          assert.match(
            disposition,
            /^attachment; filename=("[^"\\/\0-\x1f]+"|[\w.+-]+)(; filename\*=UTF-8''[\w.%!~*+-]+)?$/,
          );
          assert.equal(saved.headers['x-forged'], undefined);
        }
      }),
      hunt(60),
    );
    await victim.isUnharmed({ descriptors }, [FORGED]);
  });

  const raw = [
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/t%2f..%2f..',
    '/%00',
    '/t\\..\\x',
    '/%c0%ae%c0%ae/x',
    '/%',
    '/%zz',
  ];
  for (const path of raw) {
    test(`as ${path} in a path leads nowhere`, async () => {
      const answer = await victim.answer(
        `GET /api/v1/tasks${path} HTTP/1.1\r\nhost: a\r\n${AUTH}\r\nconnection: close\r\n\r\n`,
        { waits: true },
      );
      assert.match(answer, /^HTTP\/1\.1 40[04] /);
      assert.doesNotMatch(answer, /root:/);
    });
  }
});

describe('somebody who takes his time', { timeout: 300_000 }, () => {
  test('with thousands of connections that are idle, half a request or half an answer, keeps nobody else waiting', async () => {
    const { descriptors, rss } = victim;
    const sockets: Socket[] = [];
    const beginnings = [
      '',
      'GET /api/v1/tas',
      `POST /api/v1/tasks/t/logs HTTP/1.1\r\nhost: a\r\n${AUTH}\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nx`,
      `GET /api/v1/tasks/healthy/logs/stream HTTP/1.1\r\nhost: a\r\n${AUTH}\r\n\r\n`,
    ];
    // As many connections as its descriptors and ours allow, most of them silent.
    for (let opened = 0; opened < 3000; opened += 100) {
      const some = await Promise.all(Array.from({ length: 100 }, () => victim.connect()));
      some.forEach((socket, at) => {
        // Never read: what it answers stays where it is.
        socket.pause();
        socket.write(beginnings[at % 20 < 3 ? (at % 20) + 1 : 0]);
      });
      sockets.push(...some);
      if (opened % 500 === 0) await victim.serves();
    }
    await victim.serves();
    assert.ok(victim.descriptors < descriptors + 2000, 'the silent ones push out each other');
    const closed = sockets.filter((socket) => !socket.closed).map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await victim.isUnharmed({ descriptors });
    assert.ok(victim.rss < rss + 150 * 1024 * 1024, `${victim.rss} bytes, ${rss} before`);
  });

  test('a bomb that is sent compressed is refused as what it is', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-ndjson']) {
      const head = `POST /api/v1/tasks/t/logs HTTP/1.1\r\nhost: a\r\n${AUTH}\r\ncontent-type: ${type}\r\ncontent-encoding: gzip`;
      assert.match(
        await victim.answer(`${head}\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc`, { waits: true }),
        /^HTTP\/1\.1 400 /,
      );
    }
  });
});
