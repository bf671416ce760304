/**
 * One row of a program's options table: everything that flags, environment, file, help, sample file and error messages
 * need to know of one option. The row's name is the name of the property in the resolved configuration.
 */
export interface Option<T> {
  kind: Kind<T>;
  /** A sentence without its full stop; units and what happens without the option, where that isn't plain. */
  help: string;
  /** `--grace`. A switch's flag takes no value, it stands for `flagValue`. */
  flag?: string;
  flagValue?: boolean;
  /** What the switch's flag does, where `help` says what the option does. */
  flagHelp?: string;
  /** May be given more than once. */
  repeatable?: boolean;
  /** Names in the environment: the option's own, then others that mean the same. An empty variable counts as unset. */
  env: readonly (string | Alias)[];
  /** Place in the configuration file, `section.key`. */
  key?: string;
  /** Other places that mean the same. */
  otherKeys?: readonly Alias[];
  /** Absent: the option is optional, and the property undefined without it. */
  default?: NoInfer<T> | ((surroundings: Surroundings) => T);
  /** The default in words, where its value would say too little, or too much of this machine. */
  defaultText?: string;
  /** Never shown. */
  secret?: boolean;
}

/** A name whose value is another way to write the option's. */
export interface Alias {
  name: string;
  /** Undefined: not meant for us, as if unset. */
  as: (text: string) => Raw | undefined;
}

/** What a kind of value is: how it is read, written and explained. */
export interface Kind<T> {
  /** Throws a ValueError. */
  read(raw: Raw): T;
  /** As the user would write it. */
  print(value: T): string;
  /** As `config` shows it, where what is printed may hold a secret. */
  show?(value: T): string;
  /** `DURATION`, as help shows it. */
  placeholder: string;
  example: string;
  /** For values that add up over their origins instead of replacing each other, the most important first. */
  merge?(values: T[]): T;
}

/** A value as it was given: text, several texts, or named texts. */
export type Raw = string | string[] | Record<string, string>;

/** What defaults may depend on. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  hostname: string;
  /** The user's home, if there is one that can be written to. */
  home?: string;
  temporary: string;
  /** -1 where users have no number. */
  uid: number;
}

/** Why a value can't be: `is not a duration`. The message does not contain the value, which may be a secret. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  /** The value must not be shown: there may be a secret in it. */
  readonly secret: boolean;
  constructor(message: string, { secret = false } = {}) {
    super(message);
    this.secret = secret;
  }
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- rows of all kinds; Resolved gives each its type back
export type Row = Option<any>;
export type Table = Record<string, Row>;

type ValueOf<O> = O extends { kind: Kind<infer T> } ? T : never;
type Defaulted<T extends Table> = { [K in keyof T]: T[K] extends { default: unknown } ? K : never }[keyof T];

/** The configuration that a table describes. */
export type Resolved<T extends Table> = { [K in Defaulted<T>]: ValueOf<T[K]> } & {
  [K in Exclude<keyof T, Defaulted<T>>]?: ValueOf<T[K]>;
};

/** Types a row: its default must be of its kind. */
export function option<T>(row: Option<T> & { default: unknown }): Option<T> & { default: T | ((s: Surroundings) => T) };
export function option<T>(row: Option<T>): Omit<Option<T>, 'default'>;
export function option<T>(row: Option<T>): Option<T> {
  return row;
}
