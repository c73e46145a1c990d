// One try at one payment: its calls, each under a key that is kept before the first request.

import { PayOnceError, WrongUse } from './errors.js';
import { keepEnded, keepRequest, keptRequest, nameOfTry, refuseEarlyTry } from './keys.js';
import type { KeptRequest, KeyStore } from './keys.js';
import type { PolicyOptions, Progress } from './policy.js';
import type { Attempt, Authorize, Capture, Charge, Create } from './types.js';

export interface CallOptions extends Partial<PolicyOptions> {
  /** Ends the call. What was sent may still take effect; call again with the same name. */
  signal?: AbortSignal | undefined;
  /** Told before each pause. */
  onProgress?: (progress: Progress) => void;
}

/** Sends one kept request until there is a final answer. */
export type Send = (request: KeptRequest, options: CallOptions) => Promise<Attempt>;

const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;

export class Payment {
  readonly #send: Send;
  readonly #store: KeyStore;
  readonly #name: string;
  readonly #tryNumber: number;
  readonly #tryName: string;
  #attemptId: string | undefined;

  /** @internal Use `PayOnce.payment`. */
  constructor(send: Send, store: KeyStore, name: string, tryNumber: number, attemptId: string | undefined) {
    if (name === '' || !Number.isSafeInteger(tryNumber) || tryNumber < 1) {
      throw new WrongUse({ code: 'INVALID_FIELD', message: 'A payment has a name, and tries count from 1.' });
    }
    this.#send = send;
    this.#store = store;
    this.#name = name;
    this.#tryNumber = tryNumber;
    this.#tryName = nameOfTry(name, tryNumber);
    this.#attemptId = attemptId;
  }

  /** Creates, authorizes and captures under one key. Returns the attempt once it is captured. */
  charge(body: Charge, options: CallOptions = {}): Promise<Attempt> {
    return this.#begin('/charge', body, options);
  }

  /** Creates the attempt. No money moves. */
  createAttempt(body: Create, options: CallOptions = {}): Promise<Attempt> {
    return this.#begin('/attempts', body, options);
  }

  /** Reserves the funds. */
  authorize(body: Authorize = {}, options: CallOptions = {}): Promise<Attempt> {
    return this.#step('authorize', 'authorize', body, options);
  }

  /**
   * Takes the reserved funds, whole or in part.
   * @param options `as` names a capture of its own, after the PSP refused the amount of the one before
   */
  async capture(body: Capture = {}, options: CallOptions & { as?: string } = {}): Promise<Attempt> {
    const { as, ...others } = options;
    if (body.amount !== undefined) refuseAmount(body.amount);
    return this.#step('capture', as === undefined ? 'capture' : `capture/${as}`, body, others);
  }

  /** Releases the funds, or ends an unfinished 3-D Secure. */
  void(options: CallOptions = {}): Promise<Attempt> {
    return this.#step('void', 'void', {}, options);
  }

  async #begin(path: string, body: Charge | Create, options: CallOptions): Promise<Attempt> {
    refuseAmount(body.amount);
    await refuseEarlyTry(this.#store, this.#name, this.#tryNumber);
    return this.#run(await keepRequest(this.#store, this.#tryName, path, body), options);
  }

  async #step(call: string, step: string, body: object, options: CallOptions): Promise<Attempt> {
    const path = `/attempts/${encodeURIComponent(await this.#id(options))}/${call}`;
    return this.#run(await keepRequest(this.#store, `${this.#tryName}/${step}`, path, body), options);
  }

  async #run(request: KeptRequest, options: CallOptions): Promise<Attempt> {
    try {
      const attempt = await this.#send(request, options);
      this.#attemptId = attempt.attempt_id;
      return attempt;
    } catch (error) {
      if (error instanceof PayOnceError) {
        this.#attemptId = error.attempt?.attempt_id ?? this.#attemptId;
        // Kept before the caller learns of it: a new try is refused without it.
        if (error.safeNewKey) await keepEnded(this.#store, this.#tryName, error.code);
      }
      throw error;
    }
  }

  /** The attempt's id. In a new process it comes from the create, which is repeated under its key without effect. */
  async #id(options: CallOptions): Promise<string> {
    if (this.#attemptId !== undefined) return this.#attemptId;
    const created = await keptRequest(this.#store, this.#tryName);
    // A charge is not repeated for its id: it would move money that the caller may want to release.
    if (created?.path !== '/attempts') {
      const message = `Create ${this.#tryName} first, or give its \`attemptId\` if it is a charge.`;
      throw new WrongUse({ code: 'NOT_CREATED', message });
    }
    return (await this.#run(created, options)).attempt_id;
  }
}

function refuseAmount(amount: unknown): void {
  if (Number.isSafeInteger(amount) && (amount as number) >= 1) return;
  const message = `An amount is an integer in minor units, from 1 to ${AMOUNT_MAX}.`;
  throw new WrongUse({ code: 'INVALID_AMOUNT', message, field: 'amount' });
}
