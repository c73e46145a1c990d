// Keys are made and kept before the first call. After a crash of the caller, the same name gives the same key.

import { NewTryRefused, WrongUse } from './errors.js';

/**
 * Where the caller keeps keys: a table of its database, as durable as its orders. Values are opaque text of less than
 * 40 KiB. The name of a value starts with the name of the payment.
 */
export interface KeyStore {
  /** The value that is kept under `name`. */
  load(name: string): Promise<string | undefined> | string | undefined;
  /**
   * Keeps `value` under `name` unless a value is kept there, and returns the value that is kept then. This is atomic,
   * also between processes (`INSERT … ON CONFLICT DO NOTHING`), and durable once it returns.
   */
  keep(name: string, value: string): Promise<string> | string;
}

/** Keeps keys as long as the process lives: for tests. A payment that outlives the process needs a durable store. */
export class MemoryKeyStore implements KeyStore {
  readonly #values = new Map<string, string>();

  load(name: string): string | undefined {
    return this.#values.get(name);
  }

  keep(name: string, value: string): string {
    const kept = this.#values.get(name) ?? value;
    this.#values.set(name, kept);
    return kept;
  }
}

/** One request as it is kept. Every retry sends these bytes under this key. */
export interface KeptRequest {
  key: string;
  path: string;
  body: string;
}

/** The request that is kept under `name`, or this one, kept now. Another request under the name is refused. */
export async function keepRequest(store: KeyStore, name: string, path: string, body: object): Promise<KeptRequest> {
  const wanted: KeptRequest = { key: newKey(), path, body: JSON.stringify(body) };
  const kept = requestOf(name, await store.keep(name, JSON.stringify(wanted)));
  // The members may come in another order after a new release of the caller. The bytes that are kept are sent.
  if (kept.path !== path || canonical(JSON.parse(kept.body)) !== canonical(JSON.parse(wanted.body))) {
    const message = `Another request is kept under the name ${name}. A different payment needs a different name.`;
    throw new WrongUse({ code: 'NAME_IN_USE', message });
  }
  return kept;
}

/** The request that is kept under `name`, if there is one. */
export async function keptRequest(store: KeyStore, name: string): Promise<KeptRequest | undefined> {
  const value = await store.load(name);
  return value === undefined ? undefined : requestOf(name, value);
}

/** Keeps that an answer said `safe_new_key`: the try has ended without money. */
export async function keepEnded(store: KeyStore, tryName: string, code: string): Promise<void> {
  await store.keep(`${tryName}/ended`, code);
}

/** Refuses a new try, unless an answer said of the try before it that a new key is safe. */
export async function refuseEarlyTry(store: KeyStore, name: string, tryNumber: number): Promise<void> {
  if (tryNumber === 1) return;
  const before = nameOfTry(name, tryNumber - 1);
  if ((await store.load(`${before}/ended`)) !== undefined) return;
  const message = `No answer has said that ${before} ended without money. Call it again under its own number first.`;
  throw new NewTryRefused({ code: 'NEW_TRY_REFUSED', message });
}

export function nameOfTry(name: string, tryNumber: number): string {
  return `${name}#${tryNumber}`;
}

/** 128 random bits or a little less. `randomUUID` is missing in browsers on pages without TLS. */
function newKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function requestOf(name: string, value: string): KeptRequest {
  try {
    const kept = JSON.parse(value) as KeptRequest;
    if ([kept.key, kept.path, kept.body].every((member) => typeof member === 'string')) return kept;
  } catch {
    // A value that was not written here has no key. A new key in its place could be a second payment.
  }
  throw new WrongUse({ code: 'STORE_BROKEN', message: `The key store has another value under ${name} than was kept.` });
}

/** The same text for values that differ in the order of members only. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
