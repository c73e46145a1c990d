// Short names for the generated types. `openapi.ts` is generated from openapi/openapi.json; see `npm run generate`.

import type { components } from './openapi.js';

type Schemas = components['schemas'];

/** An attempt to be paid once, as Pay Once shows it. */
export type Attempt = Schemas['Attempt'];
/** The body of a charge. */
export type Charge = Schemas['Charge'];
/** The body of a create. */
export type Create = Schemas['Create'];
/** The body of an authorize. */
export type Authorize = Schemas['Authorize'];
/** The body of a capture. */
export type Capture = Schemas['Capture'];

type Refusals = {
  [Name in keyof Schemas]: Name extends `Error${number}` ? Schemas[Name] : never;
}[keyof Schemas];

/** The member `error` of a refusal. */
export type Refusal = Refusals['error'];
/** The closed set of codes of the contract. */
export type RefusalCode = Refusal['code'];
