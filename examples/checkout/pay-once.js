// The client: one call, made as often as it takes, always under the same key. Copy this file.

import { setTimeout as sleep } from 'node:timers/promises';

/** First pause after a failure, and the longest one. They double in between. */
const PAUSE_FIRST_MS = 200;
const PAUSE_MAX_MS = 10_000;
/** Longest pause between two questions about something that is under way. */
const POLL_MAX_MS = 15_000;
/** How much longer than `Prefer: wait` an answer may take. */
const GRACE_MS = 5_000;
/** The longest `Retry-After` that is kept to. A timer of more than 24 days would end at once. */
const RETRY_AFTER_MAX_MS = 24 * 60 * 60 * 1000;
/** The 5xx that says what happened: the PSP rejected Pay Once's own request, and nothing was done. */
const REJECTED = 'PSP_REJECTED_REQUEST';

/**
 * The attempt as Pay Once shows it (README, “The API”). Members that nobody here reads are left out.
 * @typedef {object} Attempt
 * @property {string} attempt_id
 * @property {string} status
 * @property {{name: string, state: 'in_flight' | 'in_doubt' | 'parked', since: string}} [operation]
 * @property {{type: string, url: string}} [next_action]
 * @property {{code: string, message: string}} [decline]
 * @property {import('./timeline.js').Line[]} [timeline]
 */

/**
 * @typedef {object} Refusal
 * @property {string} code
 * @property {string} message
 * @property {boolean} retryable
 * @property {boolean} safe_new_key
 * @property {string} [decline_code]
 * @property {Attempt} [attempt]
 */

/**
 * An answer that will not change: the attempt, or why not.
 * @typedef {{status: number, attempt: Attempt, error?: undefined}
 *   | {status: number, attempt?: Attempt, error: Refusal}} Answer
 */

/**
 * What is heard on the way to an answer. `isRejected`: the PSP rejected Pay Once's own request (its API key, its account).
 * That says nothing of the customer's card, and nothing was done.
 * @typedef {{attempt: Attempt, isRejected: boolean} | {unreachable: string}} News
 */

export class PayOnce {
  #url;
  #apiKey;
  #waitS;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string} [options.apiKey] the merchant's key; a local server without merchants takes none
   * @param {number} [options.waitS] how long Pay Once may hold a call open (`Prefer: wait`), in seconds, at most 30
   */
  constructor({ url, apiKey, waitS = 10 }) {
    this.#url = url.replace(/\/+$/, '');
    this.#apiKey = apiKey;
    this.#waitS = waitS;
  }

  /**
   * Makes a call until there is an answer that will not change. It gives up never: no error, no timeout and no 5xx says
   * that the payment has failed, so each is followed by the same call, under the same key, with the same body. `Retry-After`
   * is kept to.
   *
   * @param {string} path
   * @param {string} key the idempotency key, which is on disk by now
   * @param {Record<string, unknown> | null} body the same at every retry; another body under the key is refused
   * @param {{onNews?: (news: News) => void, signal?: AbortSignal}} [options]
   * @returns {Promise<Answer>}
   */
  async post(path, key, body, { onNews = () => {}, signal } = {}) {
    const begun = Date.now();
    let failures = 0;
    for (;;) {
      signal?.throwIfAborted();
      const heard = await this.#once('POST', path, this.#waitS * 1000 + GRACE_MS, { key, body, signal });
      signal?.throwIfAborted();
      if ('failure' in heard) {
        failures += 1;
        onNews({ unreachable: heard.failure });
        await sleep(jittered(Math.max(backoff(failures), heard.retryAfterMs)), undefined, { signal });
        continue;
      }
      const { status, value, retryAfterMs } = heard;
      if (status === 202) {
        failures = 0;
        // Under way. A 202 is never replayed: the same call, under the same key, brings the news.
        onNews({ attempt: value, isRejected: false });
        // The longer it takes, the less often it is asked: a customer at the bank's page may need minutes.
        const unhurried = Math.min((Date.now() - begun) / 20, POLL_MAX_MS);
        await sleep(jittered(Math.max(retryAfterMs, unhurried)), undefined, { signal });
        continue;
      }
      if (value.error === undefined) return { status, attempt: value };
      if (value.error.retryable === true) {
        // Not now, as another operation is under way, or as the PSP rejects Pay Once's own requests until somebody mends a
        // setting: nothing was done, and the key is still good.
        const { attempt, code } = value.error;
        if (attempt) onNews({ attempt, isRejected: code === REJECTED });
        failures += 1;
        await sleep(jittered(Math.max(backoff(failures), retryAfterMs)), undefined, { signal });
        continue;
      }
      return { status, attempt: value.error.attempt, error: value.error };
    }
  }

  /**
   * The attempt with its timeline. For looking only: a page may do without, so this is tried twice and then left.
   * @param {string} id
   * @param {number} withinMs
   * @returns {Promise<Attempt | null>}
   */
  async read(id, withinMs = 2_000) {
    for (let tries = 0; tries < 2; tries += 1) {
      const heard = await this.#once('GET', `/attempts/${encodeURIComponent(id)}`, withinMs / 2, {});
      if ('value' in heard && heard.status === 200) return heard.value;
    }
    return null;
  }

  /**
   * One request. What is no answer of Pay Once's own (no connection, a timeout, half a body, a gateway's error page) and
   * what says itself that nothing is known (429, and any 5xx but one) is a `failure`: it says nothing about the money.
   *
   * @param {string} method
   * @param {string} path
   * @param {number} withinMs
   * @param {{key?: string, body?: Record<string, unknown> | null, signal?: AbortSignal}} options
   * @returns {Promise<{status: number, value: any, retryAfterMs: number} | {failure: string, retryAfterMs: number}>}
   */
  async #once(method, path, withinMs, { key, body, signal }) {
    const timeout = AbortSignal.timeout(withinMs);
    /** @type {Record<string, string>} */
    const headers = { accept: 'application/json' };
    if (key !== undefined) Object.assign(headers, { 'idempotency-key': key, prefer: `wait=${this.#waitS}` });
    if (body) headers['content-type'] = 'application/json';
    if (this.#apiKey !== undefined) headers.authorization = `Bearer ${this.#apiKey}`;
    let retryAfterMs = 0;
    try {
      const response = await fetch(this.#url + path, {
        method,
        headers,
        body: body ? JSON.stringify(body) : undefined,
        redirect: 'error',
        // The time limit holds until the last byte of the body, not until the first of the head.
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      retryAfterMs = delayOf(response.headers.get('retry-after'));
      const text = await response.text();
      const value = parsed(text);
      const isRejection = value?.error?.code === REJECTED && value.error.retryable === true;
      if ((response.status >= 500 && !isRejection) || response.status === 429) {
        return { failure: `HTTP ${response.status} ${value?.error?.code ?? ''}`.trim(), retryAfterMs };
      }
      const isOurs = response.ok ? typeof value?.attempt_id === 'string' : typeof value?.error?.code === 'string';
      if (isOurs) return { status: response.status, value, retryAfterMs };
      return { failure: `HTTP ${response.status}, but no answer of Pay Once's`, retryAfterMs };
    } catch (error) {
      const { message, cause } = /** @type {Error} */ (error);
      return { failure: cause instanceof Error ? `${message}: ${cause.message}` : message, retryAfterMs };
    }
  }
}

/** @param {string} text @returns {any} undefined if it is no JSON: a gateway's error page, half a body */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `Retry-After` in milliseconds: seconds, or a date (a gateway's); 0 if there is none. @param {string | null} header */
function delayOf(header) {
  const seconds = Number(header ?? 0);
  const ms = Number.isNaN(seconds) ? Date.parse(header ?? '') - Date.now() : seconds * 1000;
  return ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : 0;
}

/** Longer after each failure. @param {number} failures */
const backoff = (failures) => Math.min(PAUSE_FIRST_MS * 2 ** (failures - 1), PAUSE_MAX_MS);

/**
 * At least this long, and never the same for two clients: thousands that failed together must not come back together.
 * @param {number} ms
 */
const jittered = (ms) => ms * (1 + Math.random() / 2);
