/** Rounds that once failed, and what they found. They are run again with every change. */
export const SEEDS: readonly { seed: number; round: number; found: string }[] = [
  {
    seed: 1,
    round: 2,
    found: 'a spool that was killed while it was made, and made every flush fail; a half-written owner of a lock',
  },
];
