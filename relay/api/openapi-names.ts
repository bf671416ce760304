import type { Schema } from './openapi-schemas.ts';

/** As much of an OpenAPI document as is read here. */
export interface OpenapiDocument {
  openapi: string;
  info: { title: string; version: string; description?: string };
  tags?: { name: string; description?: string }[];
  components?: { schemas?: Record<string, Schema> };
  paths: Record<string, Record<string, Operation>>;
}

export interface Operation {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { description?: string; required?: boolean; content: Record<string, { schema?: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: Schema }> }>;
  security?: object[];
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

/** The document with each schema that has a title written once under components and referred to elsewhere. */
export function nameSchemas(document: OpenapiDocument): OpenapiDocument {
  const schemas: Record<string, Schema> = {};
  const named = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(named);
    if (typeof value !== 'object' || value === null) return value;
    const copy: Schema = Object.fromEntries(Object.entries(value).map(([key, member]) => [key, named(member)]));
    if (typeof copy.title !== 'string' || copy.type === undefined) return copy;
    schemas[copy.title] ??= copy;
    if (JSON.stringify(schemas[copy.title]) !== JSON.stringify(copy)) {
      throw new Error(`two schemas have the title ${copy.title}`);
    }
    return { $ref: `#/components/schemas/${copy.title}` };
  };
  const paths = named(document.paths) as OpenapiDocument['paths'];
  return { ...document, paths, components: { ...document.components, schemas } };
}
