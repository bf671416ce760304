import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
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
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (offset: number) => `${name}, line ${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    const [{ pos, message }] = document.errors;
    throw new UsageError(`${place(pos[0])}: not YAML: ${message.split('\n')[0].replace(/ at line \d+.*$/, '')}`);
  }
  const values = new Map<string, FileValue>();
  const walk = (node: unknown, path: string, offset: number): void => {
    const at = resolved(node, document, place(offset));
    if (isEmpty(at)) return;
    if (KEYS.has(path)) values.set(path, { raw: rawOf(at, path, place(offset), document), place: place(offset) });
    else if (!isMap(at))
      throw new UsageError(`${place(offset)}: ${path || 'the file'} is a section; write its keys below it`);
    else {
      for (const { key, value } of at.items) {
        const keyOffset = (key as Node).range?.[0] ?? 0;
        const child = (path === '' ? '' : `${path}.`) + (isScalar(key) ? String(key.value) : String(key));
        if (!KEYS.has(child) && !SECTIONS.has(child)) throw unknownKey(child, place(keyOffset));
        walk(value, child, keyOffset);
      }
    }
  };
  walk(document.contents, '', 0);
  return values;
}

const KEYS = new Set(
  [agentOptions, relayOptions].flatMap((table) => Object.values(table).flatMap(keysOf)).map(({ name }) => name),
);

/** What stands before a dot in a key. */
const SECTIONS = new Set(
  [...KEYS].flatMap((key) => key.split('.').map((_, at, parts) => parts.slice(0, at).join('.'))),
);

function resolved(node: unknown, document: Document, place: string): unknown {
  if (!isAlias(node)) return node;
  const target = node.resolve(document);
  if (target === undefined) throw new UsageError(`${place}: not YAML: there is no anchor &${node.source}`);
  return target;
}

/** A key without a value, as a section whose keys are all commented out. */
function isEmpty(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null);
}

function rawOf(node: unknown, key: string, place: string, document: Document): Raw {
  const text = (value: unknown): string => {
    const scalar = resolved(value, document, place);
    if (!isScalar(scalar)) throw new UsageError(`${place}: ${key} holds a list or a mapping where text belongs`);
    // As it was written: `1_000` or `0755` mean what they say, not what YAML makes of them.
    return scalar.source ?? String(scalar.value);
  };
  if (isSeq(node)) return node.items.map(text);
  if (isMap(node)) return Object.fromEntries(node.items.map(({ key: name, value }) => [text(name), text(value)]));
  return text(node);
}

function unknownKey(key: string, place: string): UsageError {
  const known = [...KEYS, ...SECTIONS].filter((one) => one !== '');
  const leaf = (path: string) => path.slice(path.lastIndexOf('.') + 1);
  // The whole path may be misspelt, or a good name stand in the wrong section.
  const near = nearest(key, known) ?? known.find((one) => leaf(one) === nearest(leaf(key), known.map(leaf)));
  const hint =
    near === undefined ? `there are ${[...SECTIONS].filter((one) => one !== '').join(', ')}` : `did you mean ${near}?`;
  return new UsageError(`${place}: unknown key ${key}; ${hint}`);
}
