import { Spool } from './spool.ts';

let warm: Spool | undefined = new Spool().warm();

/** The spool whose worker was started first of all; a fresh one for whoever comes second. */
export function takeWarmSpool(): Spool {
  const spool = warm ?? new Spool();
  warm = undefined;
  return spool;
}
