import type { OpenapiDocument, Operation, Parameter } from './openapi-names.ts';
import type { Schema } from './openapi-schemas.ts';

/** The document as a page to read: plain HTML, its styles in it, no script. */
export function documentPage(document: OpenapiDocument): string {
  const { title, version, description = '' } = document.info;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const tags = document.tags ?? [];
  const sections = tags.map((tag) => {
    const ofTag = operations.filter(({ operation }) => operation.tags?.includes(tag.name));
    if (ofTag.length === 0) return '';
    return `<h2 id="${html(tag.name)}">${html(tag.name)}</h2><p>${html(tag.description ?? '')}</p>${ofTag.map(operationHtml).join('')}`;
  });
  const schemas = Object.entries(document.components?.schemas ?? {});
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${html(title)} ${html(version)}</title><style>${STYLE}</style></head><body>`,
    `<h1>${html(title)} <small>${html(version)}</small></h1><p>${html(description)}</p>`,
    '<p>The same for programs: <a href="/openapi.json">/openapi.json</a></p>',
    `<nav><ul>${operations.map(linkHtml).join('')}</ul></nav>`,
    ...sections,
    `<h2>Schemas</h2>${schemas.map(([name, schema]) => schemaHtml(name, schema)).join('')}`,
    '</body></html>\n',
  ].join('\n');
}

interface Described {
  path: string;
  method: string;
  operation: Operation;
}

function linkHtml({ path, method, operation }: Described): string {
  const call = `${method} ${path}`;
  return `<li><a href="#${anchor(call)}"><code>${html(call)}</code></a> ${html(operation.summary ?? '')}</li>`;
}

function operationHtml({ path, method, operation }: Described): string {
  const call = `${method} ${path}`;
  const { summary = '', description = '', parameters = [], requestBody, responses, security } = operation;
  const open = security?.length === 0 ? ' No token is needed.' : '';
  const body = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<h4>Body: ${html(type)}</h4><pre>${typeHtml(schema)}</pre>`,
  );
  return [
    `<section id="${anchor(call)}"><h3><code>${html(call)}</code></h3>`,
    `<p><strong>${html(summary)}.</strong> ${html(description)}${open}</p>`,
    parameters.length === 0 ? '' : tableHtml(['parameter', 'in', 'type', ''], parameters.map(parameterRow)),
    ...body,
    tableHtml(['answer', '', 'content'], Object.entries(responses).map(responseRow)),
    '</section>',
  ].join('\n');
}

function parameterRow({ name, in: place, required, description = '', schema }: Parameter): string[] {
  return [
    `<code>${html(name)}</code>`,
    html(place),
    typeHtml(schema),
    html(description) + (required ? ' Required.' : ''),
  ];
}

function responseRow([status, { description, content = {} }]: [string, Operation['responses'][string]]): string[] {
  const types = Object.entries(content).map(([type, { schema }]) => `<code>${html(type)}</code> ${typeHtml(schema)}`);
  return [`<code>${html(status)}</code>`, html(description), types.join('<br>')];
}

function schemaHtml(name: string, schema: Schema): string {
  return `<section id="${anchor(`schema ${name}`)}"><h3>${html(name)}</h3><pre>${typeHtml(schema)}</pre></section>`;
}

/** A schema as people write types. */
function typeHtml(schema: Schema | undefined, indent = ''): string {
  if (schema === undefined) return '';
  if (typeof schema.$ref === 'string') {
    const name = schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1);
    return `<a href="#${anchor(`schema ${name}`)}">${html(name)}</a>`;
  }
  const choices = (schema.oneOf ?? schema.anyOf) as Schema[] | undefined;
  if (choices !== undefined) return choices.map((choice) => typeHtml(choice, indent)).join(' | ');
  const words = schema.enum as unknown[] | undefined;
  if (words !== undefined) return html(words.map((word) => JSON.stringify(word)).join(' | '));
  if (schema.const !== undefined) return html(JSON.stringify(schema.const));
  const types = [(schema.type ?? 'any') as string | string[]].flat();
  return types.map((type) => ofTypeHtml(type, schema, indent)).join(' | ');
}

function ofTypeHtml(type: string, schema: Schema, indent: string): string {
  if (type === 'array') return `${typeHtml(schema.items as Schema | undefined, indent)}[]`;
  if (type === 'object') return objectHtml(schema, indent);
  const format = typeof schema.format === 'string' ? ` (${schema.format})` : '';
  return html(type + format);
}

function objectHtml(schema: Schema, indent: string): string {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, Schema>);
  const required = (schema.required ?? []) as string[];
  const deeper = `${indent}  `;
  const lines = properties.map(([name, property]) => {
    const comment = typeof property.description === 'string' ? `  <i>${html(property.description)}</i>` : '';
    return `${deeper}${html(name)}${required.includes(name) ? '' : '?'}: ${typeHtml(property, deeper)}${comment}\n`;
  });
  if (typeof schema.additionalProperties === 'object') {
    lines.push(`${deeper}[name]: ${typeHtml(schema.additionalProperties as Schema, deeper)}\n`);
  }
  return lines.length === 0 ? 'object' : `{\n${lines.join('')}${indent}}`;
}

function tableHtml(head: readonly string[], rows: readonly string[][]): string {
  const headHtml = head.map((cell) => `<th>${html(cell)}</th>`).join('');
  const rowsHtml = rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('');
  return `<table><thead><tr>${headHtml}</tr></thead><tbody>${rowsHtml}</tbody></table>`;
}

function anchor(text: string): string {
  return encodeURIComponent(text.toLowerCase().replace(/[^a-z0-9]+/g, '-'));
}

function html(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = [
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}',
  'code,pre{font:14px/1.5 ui-monospace,monospace}pre{background:#f4f5f7;padding:.75rem;overflow:auto}',
  'table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}',
  'th,td{border:1px solid #d5d9df;padding:.3rem .5rem;text-align:left;vertical-align:top;white-space:pre-line}',
  'section{margin:2rem 0}h2{border-bottom:1px solid #d5d9df;margin-top:3rem}a{color:#0b57d0}i{color:#57606a}',
  '@media (prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}pre{background:#20252b}',
  'th,td,h2{border-color:#3a424c}a{color:#8ab4f8}i{color:#9aa4af}}',
].join('');
