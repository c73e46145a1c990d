// The client: carries out what the policy decides, with fetch and timers.

import { WrongUse } from './errors.js';
import type { KeptRequest, KeyStore } from './keys.js';
import { Payment } from './payment.js';
import type { CallOptions } from './payment.js';
import { CallPolicy, DEFAULTS, retryAfterMs } from './policy.js';
import type { Heard, PolicyOptions } from './policy.js';
import type { Attempt } from './types.js';

export interface PayOnceOptions extends Partial<PolicyOptions> {
  /** Where Pay Once is. */
  url: string;
  /** The merchant's API key. A local server without merchants takes none. */
  apiKey?: string | undefined;
  /** Where keys are kept before the first call. */
  keys: KeyStore;
  /** `fetch`, if it is not the global one. */
  fetch?: Fetch;
}

/** What is needed of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The longest timer: a longer one would end at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export class PayOnce {
  readonly #url: string;
  readonly #authorization: string | undefined;
  readonly #keys: KeyStore;
  readonly #fetch: Fetch;
  readonly #options: PolicyOptions;

  constructor(options: PayOnceOptions) {
    const { url, apiKey, keys, fetch: given, ...policy } = options;
    this.#url = addressOf(url);
    // fetch and its errors would show a header that cannot be sent, and the API key with it.
    if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) refuse('The API key is not visible ASCII.');
    this.#authorization = apiKey === undefined ? undefined : `Bearer ${apiKey}`;
    this.#keys = keys;
    this.#fetch = given ?? ((address, init) => fetch(address, init));
    this.#options = checked({ ...DEFAULTS, ...defined(policy) });
  }

  /**
   * A payment of the caller, such as an order. The same name is the same payment, also after a crash.
   * @param more.tryNumber 1 for the first try. A later one needs an answer that said `safe_new_key` of the try before.
   * @param more.attemptId the attempt of a charge, to release it from another process
   */
  payment(name: string, more: { tryNumber?: number; attemptId?: string } = {}): Payment {
    const send = (request: KeptRequest, options: CallOptions) => this.#call('POST', request, options);
    return new Payment(send, this.#keys, name, more.tryNumber ?? 1, more.attemptId);
  }

  /** The attempt as it is now, with its timeline. */
  get(attemptId: string, options: CallOptions = {}): Promise<Attempt> {
    return this.#call('GET', { path: `/attempts/${encodeURIComponent(attemptId)}` }, options);
  }

  async #call(method: string, request: Partial<KeptRequest>, options: CallOptions): Promise<Attempt> {
    const { signal, onProgress, ...given } = options;
    const policy = new CallPolicy(checked({ ...this.#options, ...defined(given) }), performance.now());
    for (;;) {
      signal?.throwIfAborted();
      const heard = await this.#once(method, request, policy.limits(performance.now()), signal);
      signal?.throwIfAborted();
      const decision = policy.heard(heard, performance.now(), Math.random());
      if (decision.action === 'done') return decision.attempt;
      if (decision.action === 'raise') throw decision.error;
      onProgress?.(decision.progress);
      await sleep(decision.waitMs, signal);
    }
  }

  async #once(
    method: string,
    { path, key, body }: Partial<KeptRequest>,
    limits: { waitS: number; timeoutMs: number },
    signal: AbortSignal | undefined,
  ): Promise<Heard> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.#authorization !== undefined) headers['authorization'] = this.#authorization;
    if (key !== undefined) Object.assign(headers, { 'idempotency-key': key, 'content-type': 'application/json' });
    if (key !== undefined && limits.waitS > 0) headers['prefer'] = `wait=${limits.waitS}`;
    const controller = new AbortController();
    const abort = () => controller.abort();
    // The time limit holds until the last byte of the body.
    const timer = setTimeout(abort, Math.min(limits.timeoutMs, TIMER_MAX_MS));
    signal?.addEventListener('abort', abort);
    let pauseMs = 0;
    try {
      const init: RequestInit = { method, headers, redirect: 'manual', signal: controller.signal };
      const response = await this.#fetch(`${this.#url}${path}`, body === undefined ? init : { ...init, body });
      pauseMs = retryAfterMs(response.headers.get('retry-after'), Date.now());
      return { status: response.status, retryAfterMs: pauseMs, body: parsed(await response.text()) };
    } catch (error) {
      return { failure: controller.signal.aborted ? 'no answer in time' : reason(error), retryAfterMs: pauseMs };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function refuse(message: string): never {
  throw new WrongUse({ code: 'INVALID_FIELD', message });
}

/** The address without the slash at its end. A password in it would appear in errors. */
function addressOf(url: string): string {
  const isUsable = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (!isUsable) refuse('`url` is not an http or https address.');
  const { username, password, search, hash } = new URL(url);
  if (username || password || search || hash) refuse('`url` has a user, a query or a fragment.');
  return url.replace(/\/+$/, '');
}

function checked(options: PolicyOptions): PolicyOptions {
  const { waitS, deadlineMs } = options;
  if (!(Number.isInteger(waitS) && waitS >= 0 && waitS <= 30)) refuse('`waitS` is an integer from 0 to 30.');
  if (deadlineMs !== null && !(deadlineMs > 0)) refuse('`deadlineMs` is a number above 0, or null.');
  return options;
}

/** Without the members that are undefined, which would hide a default. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'no connection';
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Ends after `ms`, or fails when `signal` is aborted. */
async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= TIMER_MAX_MS) {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
        Math.min(leftMs, TIMER_MAX_MS),
      );
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
}
