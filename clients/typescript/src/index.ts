// The client of Pay Once. See clients/README.md.

export { PayOnce } from './client.js';
export type { Fetch, PayOnceOptions } from './client.js';
export * from './errors.js';
export { MemoryKeyStore } from './keys.js';
export type { KeyStore } from './keys.js';
export { Payment } from './payment.js';
export type { CallOptions } from './payment.js';
export { CallPolicy, DEFAULTS, retryAfterMs } from './policy.js';
export type { Decision, Heard, PolicyOptions, Progress } from './policy.js';
export type * from './types.js';
export type { components, operations, paths } from './openapi.js';
