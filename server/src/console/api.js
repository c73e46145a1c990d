// The API of this listener. The operator's key is kept for this tab only: a reload keeps it, and a closed tab forgets it. It is in no
// address, and no other origin can read it.

const KEY = 'pay-once-operator-key';

/** The operator's key, if there is one. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (/** @type {string} */ value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** An answer that is no success, or none at all. `status` 0: there was no answer, and nobody knows whether the request had an effect. */
export class Refusal extends Error {
  /** @param {number} status @param {any} error */
  constructor(status, error) {
    super(error?.message ?? `The server answered ${status} and did not say why.`);
    this.status = status;
    this.code = error?.code ?? '';
    this.field = error?.field;
    this.attempt = error?.attempt;
  }
}

/**
 * @param {string} method @param {string} path @param {{body?: unknown, idempotencyKey?: string}} [more]
 * @returns {Promise<{status: number, body: any}>}
 */
async function call(method, path, { body, idempotencyKey } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json', Authorization: `Bearer ${key.get() ?? ''}` };
  if (idempotencyKey) headers['Idempotency-Key'] = idempotencyKey;
  let response;
  try {
    response = await fetch(path, { method, headers, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refusal(0, { message: 'There was no answer from the server. Check the connection, and try again.' });
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, answer?.error);
  return { status: response.status, body: answer };
}

/** One page of attempts. @param {Record<string, string>} query @returns {Promise<{attempts: any[], next?: string}>} */
export async function search(query) {
  return (await call('GET', `/attempts?${new URLSearchParams(query)}`)).body;
}

/** @param {string} id */
export async function read(id) {
  return (await call('GET', `/attempts/${encodeURIComponent(id)}`)).body;
}

/** Has the PSP asked now. @param {string} id */
export async function look(id) {
  return (await call('POST', `/attempts/${encodeURIComponent(id)}/look`)).body;
}

/** @param {string} id @param {unknown} body @param {string} idempotencyKey */
export async function resolve(id, body, idempotencyKey) {
  return call('POST', `/attempts/${encodeURIComponent(id)}/resolve`, { body, idempotencyKey });
}

/** A key that nobody else has. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
