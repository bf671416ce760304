import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml';
import { nearest } from '../nearest.ts';
import { agentOptions } from './agent-options.ts';
import type { Raw } from './option.ts';
import { relayOptions } from './relay-options.ts';
import { keysOf, type FileValue, type FileValues } from './resolve.ts';
import { UsageError } from './usage-error.ts';

/**
 * The values in the text of a configuration file, by key. One file may hold the sections of both programs: keys are
 * checked against both, values are left as text to whoever reads them. Throws a UsageError with the line for bad YAML
 * and for an unknown key, of which it names the nearest known one.
 */
export function parseConfig(text: string, name: string): FileValues {
  return new ConfigText(text, name).values;
}

/** A configuration needs none; each costs a search through the document. */
const MAX_ALIASES = 100;

class ConfigText {
  readonly values = new Map<string, FileValue>();
  readonly #name: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  #aliases = 0;

  constructor(text: string, name: string) {
    this.#name = name;
    // Keys that come twice are found below: the parser would compare each with all others.
    this.#document = parseDocument(text, { lineCounter: this.#lines, uniqueKeys: false });
    for (const error of this.#document.errors) throw this.#notYaml(error.pos[0], problemOf(error));
    this.#walk(this.#document.contents, '', 0);
  }

  /** `offset` is where the key stands. */
  #walk(node: unknown, path: string, offset: number): void {
    const at = this.#resolved(node, offset);
    if (isEmpty(at)) return;
    if (KEYS.has(path)) this.values.set(path, { raw: this.#raw(at, path, offset), place: this.#place(offset) });
    else if (!isMap(at)) {
      throw new UsageError(`${this.#place(offset)}: ${path || 'the file'} is a section; write its keys below it`);
    } else {
      for (const { key, value, at: keyOffset } of this.#members(at)) {
        const child = path === '' ? key : `${path}.${key}`;
        if (!KEYS.has(child) && !SECTIONS.has(child)) throw unknownKey(child, this.#place(keyOffset));
        this.#walk(value, child, keyOffset);
      }
    }
  }

  *#members(map: YAMLMap): Iterable<{ key: string; value: unknown; at: number }> {
    const seen = new Set<string>();
    for (const { key, value } of map.items) {
      const at = (key as Node | null)?.range?.[0] ?? 0;
      const name = textOf(this.#resolved(key, at));
      if (name === undefined) throw new UsageError(`${this.#place(at)}: a key is a list or a mapping; it must be text`);
      if (seen.has(name)) throw this.#notYaml(at, `the key ${name} stands there twice`);
      seen.add(name);
      yield { key: name, value, at };
    }
  }

  #raw(node: unknown, key: string, offset: number): Raw {
    const text = (value: unknown): string => {
      const found = textOf(this.#resolved(value, offset));
      if (found !== undefined) return found;
      throw new UsageError(`${this.#place(offset)}: ${key} holds a list or a mapping where text belongs`);
    };
    if (isSeq(node)) return node.items.map(text);
    if (!isMap(node)) return text(node);
    return Object.fromEntries(Array.from(this.#members(node), (member) => [member.key, text(member.value)]));
  }

  #resolved(node: unknown, offset: number): unknown {
    if (!isAlias(node)) return node;
    if (++this.#aliases > MAX_ALIASES) throw this.#notYaml(offset, `there are more than ${MAX_ALIASES} aliases`);
    const target = node.resolve(this.#document);
    if (target === undefined) throw this.#notYaml(offset, `there is no anchor &${node.source}`);
    return target;
  }

  #place(offset: number): string {
    return `${this.#name}, line ${this.#lines.linePos(offset).line}`;
  }

  #notYaml(offset: number, problem: string): UsageError {
    return new UsageError(`${this.#place(offset)}: not YAML: ${problem}`);
  }
}

const KEYS = new Set(
  [agentOptions, relayOptions].flatMap((table) => Object.values(table).flatMap(keysOf)).map(({ name }) => name),
);

/** What stands before a dot in a key. */
const SECTIONS = new Set(
  [...KEYS].flatMap((key) => key.split('.').map((_, at, parts) => parts.slice(0, at).join('.'))),
);

function problemOf({ code, message }: Pick<YAMLParseError, 'code' | 'message'>): string {
  // The parser calls itself for each level.
  if (code === 'RESOURCE_EXHAUSTION') return 'it is nested too deeply';
  return message.split('\n')[0].replace(/ at line \d+.*$/, '');
}

/** A key without a value, as a section whose keys are all commented out. */
function isEmpty(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null);
}

/** As it was written: `1_000` or `0755` mean what they say, not what YAML makes of them. Undefined for a list or mapping. */
function textOf(node: unknown): string | undefined {
  if (node === null) return '';
  return isScalar(node) ? (node.source ?? String(node.value)) : undefined;
}

function unknownKey(key: string, place: string): UsageError {
  const known = [...KEYS, ...SECTIONS].filter((one) => one !== '');
  const leaf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  // The whole path may be misspelt, or a good name stand in the wrong section.
  const near = nearest(key, known) ?? known.find((one) => leaf(one) === nearest(leaf(key), known.map(leaf)));
  const hint = near === undefined ? `there are ${namesBeside(key).join(', ')}` : `did you mean ${near}?`;
  return new UsageError(`${place}: unknown key ${key}; ${hint}`);
}

/** What may stand in the key's section. */
function namesBeside(key: string): string[] {
  const section = key.slice(0, key.lastIndexOf('.') + 1);
  const within = [...KEYS].filter((one) => one.startsWith(section));
  return [...new Set(within.map((one) => one.slice(section.length).split('.')[0]))];
}
