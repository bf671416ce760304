import fc from 'fast-check';

/** What is done to good bytes. Places are taken modulo the length, so that each one fits all bytes. */
export type Mutation = (bytes: Buffer) => Buffer;

/** A few changes after each other; `donors` are good bytes of the same kind, of which parts are spliced in. */
export function mutations(donors: readonly Buffer[]): fc.Arbitrary<Mutation> {
  return fc
    .array(oneMutation(donors), { minLength: 1, maxLength: 4 })
    .map((steps) => named((bytes) => steps.reduce((changed, step) => step(changed), bytes), steps.join(', ')));
}

function oneMutation(donors: readonly Buffer[]): fc.Arbitrary<Mutation> {
  const place = fc.nat(MAX_PLACE);
  const length = fc.oneof({ weight: 3, arbitrary: fc.nat(16) }, fc.nat(2000));
  return fc.oneof(
    fc
      .tuple(place, fc.nat(7))
      .map(([at, bit]) =>
        named((bytes) => changed(bytes, at, (copy, index) => (copy[index] ^= 1 << bit)), `flip(${at}, ${bit})`),
      ),
    fc
      .tuple(place, fc.constantFrom(0, 1, 0x0a, 0x7f, 0x80, 0xff))
      .map(([at, value]) =>
        named((bytes) => changed(bytes, at, (copy, index) => (copy[index] = value)), `set(${at}, ${value})`),
      ),
    fc
      .tuple(place, fc.constantFrom(...NUMBERS))
      .map(([at, value]) =>
        named(
          (bytes) => changed(bytes, at, (copy, index) => index + 4 <= copy.length && copy.writeUInt32LE(value, index)),
          `number(${at}, ${value})`,
        ),
      ),
    fc.tuple(place, length).map(([at, count]) => named((bytes) => cutOut(bytes, at, count), `cut(${at}, ${count})`)),
    place.map((at) => named((bytes) => bytes.subarray(0, at % (bytes.length + 1)), `end(${at})`)),
    fc
      .tuple(place, fc.uint8Array({ maxLength: 12 }))
      .map(([at, some]) =>
        named((bytes) => putIn(bytes, at, Buffer.from(some)), `insert(${at}, ${Buffer.from(some).toString('hex')})`),
      ),
    fc
      .tuple(place, place, length)
      .map(([at, from, count]) =>
        named((bytes) => putIn(bytes, at, part(bytes, from, count)), `repeat(${at}, ${from}, ${count})`),
      ),
    ...(donors.length === 0
      ? []
      : [
          fc
            .tuple(fc.nat(donors.length - 1), place, place)
            .map(([donor, at, from]) =>
              named((bytes) => spliced(bytes, at, donors[donor], from), `splice(${at}, ${donor}, ${from})`),
            ),
        ]),
  );
}

/** A function that a failure prints as what it does. */
function named(mutation: Mutation, name: string): Mutation {
  return Object.assign(mutation, { toString: () => name, [fc.toStringMethod]: () => name });
}

function changed(bytes: Buffer, at: number, change: (copy: Buffer, index: number) => unknown): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length > 0) change(copy, at % copy.length);
  return copy;
}

function cutOut(bytes: Buffer, at: number, count: number): Buffer {
  const from = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + count)]);
}

function putIn(bytes: Buffer, at: number, some: Buffer): Buffer {
  const from = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, from), some, bytes.subarray(from)]);
}

function part(bytes: Buffer, at: number, count: number): Buffer {
  const from = at % (bytes.length + 1);
  return bytes.subarray(from, from + count);
}

/** The beginning of one and the end of the other. */
function spliced(bytes: Buffer, at: number, donor: Buffer, from: number): Buffer {
  return Buffer.concat([bytes.subarray(0, at % (bytes.length + 1)), donor.subarray(from % (donor.length + 1))]);
}

/** Above the sizes that are mutated. */
const MAX_PLACE = 100_000;
/** At the edges of what lengths and counts may be. */
const NUMBERS = [0, 1, 2, 255, 65_535, 65_536, 2 ** 20, 2 ** 21, 2 ** 21 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
