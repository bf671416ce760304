import { Beginnings } from './beginnings.ts';
import { Findings } from './findings.ts';
import { formsOf } from './forms.ts';
import { LiteralFinder } from './literal-finder.ts';
import { findShapes, TOKEN_PREFIXES } from './shape-finder.ts';
import { findUrlMarkBegun } from './url-password.ts';

/** Makes values (secrets as they are) searchable, in all their forms. Once per job: streams share the result. */
export function compileSecrets(values: Iterable<string>): SecretSet {
  const forms = new Map<string, Buffer>();
  const tooShort: string[] = [];
  for (const value of values) {
    const formsOfValue = formsOf(value);
    if (formsOfValue.length === 0) tooShort.push(value);
    for (const form of formsOfValue) forms.set(form.toString('latin1'), form);
  }
  return new SecretSet([...forms.values()], tooShort);
}

/** What must not come through: the forms of known values, tokens of known shapes, passwords in URLs. */
export class SecretSet {
  /** Values that are not masked, because that would mask ordinary words (forms.ts says how long is long enough). */
  readonly tooShort: readonly string[];
  readonly #literals: LiteralFinder;
  readonly #beginnings: Beginnings;

  constructor(forms: readonly Buffer[], tooShort: readonly string[]) {
    this.tooShort = tooShort;
    this.#literals = new LiteralFinder(forms);
    this.#beginnings = new Beginnings([...forms, ...TOKEN_PREFIXES]);
  }

  /** Looks through a text that begins anywhere and, unless it has `ended`, goes on. Holds no reference to it. */
  find(text: Buffer, ended: boolean): Findings {
    const findings = new Findings(text.length, ended);
    this.#literals.find(text, findings);
    findShapes(text, findings);
    if (ended) return findings;
    const begun = this.#beginnings.earliest(text, text.lastIndexOf(0x0a) + 1);
    if (begun < text.length) findings.undecided(begun);
    findUrlMarkBegun(text, findings);
    return findings;
  }
}
