// The payment of an order, from its keys to its end.
//
// It has no memory of where it was: it makes the same three calls from the top, under the keys that are on disk. What was
// done before is answered at once and does nothing (a replay); what was not is done now. So a restart, a retry and a
// first run are the same code.

import { setTimeout as sleep } from 'node:timers/promises';
import { Declined, InvalidState, PayOnceError } from 'pay-once';
import { currentTry } from './orders.js';

/** How long until a payment that only people can mend is tried again. */
const STUCK_MS = 30_000;

/**
 * What is known of a payment while it is under way. For showing only: what has been decided is in the order.
 * @typedef {object} Progress
 * @property {import('pay-once').Attempt} [attempt] as it was last seen
 * @property {boolean} inDoubt whether we cannot say at present what became of a call
 * @property {boolean} isRejected whether the PSP rejects Pay Once's own requests at present: somebody has to mend that
 */

export class Payments {
  /** @type {Map<string, Progress>} */
  #running = new Map();
  #stop = new AbortController();
  #orders;
  #payOnce;
  #log;

  /**
   * @param {import('./orders.js').Orders} orders
   * @param {import('pay-once').PayOnce} payOnce
   * @param {(line: string) => void} log
   */
  constructor(orders, payOnce, log) {
    this.#orders = orders;
    this.#payOnce = payOnce;
    this.#log = log;
    for (const order of orders.open()) {
      log(`${order.id}: going on with try ${currentTry(order).number}`);
      this.see(order);
    }
  }

  /**
   * Sees to the end of an order's current try. To call it twice is harmless: in this process one loop runs for an order,
   * and if another process ran one as well, both would make the same calls under the same keys.
   * @param {import('./orders.js').Order} order
   */
  see(order) {
    if (this.#running.has(order.id) || currentTry(order).ending !== null) return;
    const progress = { inDoubt: false, isRejected: false };
    this.#running.set(order.id, progress);
    this.#pay(order, progress)
      .catch((error) => {
        // A bug of ours ends the process, and the next start goes on from what is on disk. To go on here, with an order
        // that nobody sees to, would be worse.
        if (!this.#stop.signal.aborted) throw error;
      })
      .finally(() => this.#running.delete(order.id));
  }

  /** @param {string} orderId @returns {Progress | undefined} */
  progress(orderId) {
    return this.#running.get(orderId);
  }

  /** Lets go of everything. Nothing is lost: the next start goes on. */
  stop() {
    this.#stop.abort();
  }

  /**
   * @param {import('./orders.js').Order} order
   * @param {Progress} progress
   */
  async #pay(order, progress) {
    for (;;) {
      const ending = await this.#run(order, progress);
      if (!('stuck' in ending)) {
        // On disk before any customer is told.
        this.#orders.end(order, ending);
        this.#log(`${order.id}: try ${currentTry(order).number} ${ending.outcome} ${ending.code ?? ''}`.trimEnd());
        return;
      }
      // Neither paid nor known not to be. Somebody has to look: an API key, a setting, a bug of ours. The key is kept,
      // and the customer is told that we do not know, which is the truth.
      progress.inDoubt = true;
      this.#log(`${order.id}: NEEDS A PERSON: ${ending.stuck}`);
      await sleep(STUCK_MS, undefined, { signal: this.#stop.signal });
    }
  }

  /**
   * Create, authorize, capture. (`POST /charge` does all three under one key, for shops that have nothing to do between
   * reserving the money and taking it.)
   * @param {import('./orders.js').Order} order
   * @param {Progress} progress
   * @returns {Promise<import('./orders.js').Ending | {stuck: string}>}
   */
  async #run(order, progress) {
    const { number, body } = currentTry(order);
    const payment = this.#payOnce.payment(order.id, { tryNumber: number });
    /** @type {import('pay-once').CallOptions} */
    const options = {
      // Nobody waits for this loop, and no time limit says that a payment has failed.
      deadlineMs: null,
      followAction: true,
      signal: this.#stop.signal,
      onProgress: (news) => this.#hear(order, progress, news),
    };
    /** @param {Promise<import('pay-once').Attempt>} call */
    const seen = async (call) => {
      progress.attempt = await call;
      progress.inDoubt = progress.isRejected = false;
      return progress.attempt;
    };
    try {
      const { attempt_id } = await seen(payment.createAttempt(body, options));
      await seen(orAlready(payment.authorize({}, options), 'AUTHORIZED', 'CAPTURED'));

      // The money is reserved, not taken. Here a shop makes sure that it can deliver: takes the kettle from its stock,
      // under a key of its own that it can repeat. If it cannot, it calls `payment.void()` and no money moves.

      const { status } = await seen(orAlready(payment.capture({}, options), 'CAPTURED'));
      return status === 'CAPTURED' ? { outcome: 'paid', attempt_id } : { stuck: `captured, but the attempt is ${status}` };
    } catch (error) {
      if (!(error instanceof PayOnceError)) throw error;
      progress.attempt = error.attempt ?? progress.attempt;
      return notDone(error);
    }
  }

  /**
   * What is heard on the way to an answer.
   * @param {import('./orders.js').Order} order
   * @param {Progress} progress
   * @param {import('pay-once').Progress} news
   */
  #hear(order, progress, { attempt, code, failure }) {
    progress.attempt = attempt ?? progress.attempt;
    progress.isRejected = code === 'PSP_REJECTED_REQUEST';
    // No answer, or one that says nothing of the payment.
    progress.inDoubt = attempt ? isInDoubt(attempt) : !progress.isRejected;
    // The client goes on asking under the same key; only a person can mend what the PSP rejects.
    if (progress.isRejected) {
      this.#log(`${order.id}: NEEDS A PERSON: the PSP rejects Pay Once's requests; asking again (the operators' listener says why: /status)`);
    } else if (failure ?? code) {
      this.#log(`${order.id}: ${failure ?? code}; asking again`);
    }
  }
}

/**
 * An answer that is not the one hoped for. Only `safeNewKey` says that the attempt has ended without money, and that a
 * new try cannot pay twice: not the status code, and no guess of ours.
 * @param {PayOnceError} error
 * @returns {import('./orders.js').Ending | {stuck: string}}
 */
function notDone(error) {
  const { safeNewKey, attempt, declineCode, code } = error;
  if (!safeNewKey) return { stuck: error.message };
  return {
    outcome: error instanceof Declined ? 'declined' : 'released',
    attempt_id: attempt?.attempt_id,
    code: declineCode ?? attempt?.status ?? code,
    message: attempt?.decline?.message,
  };
}

/**
 * The attempt, also if another hand has brought it to one of these statuses (409 shows the attempt as it is).
 * @param {Promise<import('pay-once').Attempt>} call
 * @param {string[]} statuses
 */
const orAlready = (call, ...statuses) =>
  call.catch((error) => {
    if (error instanceof InvalidState && error.attempt && statuses.includes(error.attempt.status)) return error.attempt;
    throw error;
  });

/** @param {import('pay-once').Attempt} [attempt] */
export const isInDoubt = (attempt) =>
  attempt?.operation?.state === 'in_doubt' || attempt?.operation?.state === 'parked';
