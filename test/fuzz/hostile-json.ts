import fc from 'fast-check';

/** Values of every kind, and texts that mean something to somebody. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 0.5, 2 ** 31, 2 ** 53, 1e308, -0, '', [], {}),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    '\u0000',
    '../..',
    '\ud800',
    '\u2028',
    '%00',
    'a'.repeat(5000),
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.jsonValue({ maxDepth: 2 }),
  fc.integer({ min: 1, max: 3000 }).map((depth) => nested(depth)),
);

/** JSON text: good messages of which members are changed, dropped and added, any JSON, and text that is none. */
export function hostileJson(good: readonly object[]): fc.Arbitrary<string> {
  const names = [...new Set(good.flatMap((one) => Object.keys(one))), '__proto__', 'constructor', 'x'];
  const change = fc.record({
    name: fc.constantFrom(...names),
    to: fc.oneof(hostileValue, fc.constantFrom(...good.flatMap((one) => Object.values(one) as unknown[]))),
    drop: fc.boolean(),
  });
  const changed = fc.tuple(fc.constantFrom(...good), fc.array(change, { maxLength: 3 })).map(([one, changes]) => {
    const members = new Map(Object.entries(one) as [string, unknown][]);
    for (const { name, to, drop } of changes) {
      if (drop) members.delete(name);
      else members.set(name, to);
    }
    return `{${Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  });
  const broken = fc
    .tuple(changed, fc.nat(), fc.string({ maxLength: 3 }))
    .map(([text, at, some]) => text.slice(0, at % (text.length + 1)) + some + text.slice((at % (text.length + 1)) + 1));
  return fc.oneof({ weight: 5, arbitrary: changed }, fc.json({ maxDepth: 2 }), broken, fc.string({ maxLength: 20 }));
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}
