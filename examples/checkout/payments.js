// The payment of an order, from its keys to its end.
//
// It has no memory of where it was: it makes the same three calls from the top, under the keys that are on disk. What was
// done before is answered at once and does nothing (a replay); what was not is done now. So a restart, a retry and a
// first run are the same code.

import { setTimeout as sleep } from 'node:timers/promises';
import { currentTry } from './orders.js';

/** How long until a payment that only people can mend is tried again. */
const STUCK_MS = 30_000;

/**
 * What is known of a payment while it is under way. For showing only: what has been decided is in the order.
 * @typedef {object} Progress
 * @property {import('./pay-once.js').Attempt} [attempt] as it was last seen
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
   * @param {import('./pay-once.js').PayOnce} payOnce
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
    const { keys, body: terms } = currentTry(order);
    /** @type {(path: string, key: string, body: Record<string, unknown> | null) => Promise<import('./pay-once.js').Answer>} */
    const post = async (path, key, body) => {
      const answer = await this.#payOnce.post(path, key, body, {
        signal: this.#stop.signal,
        onNews: (news) => {
          if ('attempt' in news) progress.attempt = news.attempt;
          else this.#log(`${order.id}: ${path}: ${news.unreachable}; asking again`);
          progress.inDoubt = 'unreachable' in news || isInDoubt(news.attempt);
          progress.isRejected = 'attempt' in news && news.isRejected;
          // The client goes on asking under the same key; only a person can mend what the PSP rejects.
          if (progress.isRejected) {
            this.#log(`${order.id}: NEEDS A PERSON: ${path}: the PSP rejects Pay Once's requests; asking again (the operators' listener says why: /status)`);
          }
        },
      });
      progress.inDoubt = progress.isRejected = false;
      if (answer.attempt) progress.attempt = answer.attempt;
      return answer;
    };

    const created = await post('/attempts', keys.create, terms);
    if (created.error) return notDone(created);
    const id = created.attempt.attempt_id;

    const authorized = await post(`/attempts/${id}/authorize`, keys.authorize, null);
    if (authorized.error && !has(authorized, 'AUTHORIZED', 'CAPTURED')) return notDone(authorized);

    // The money is reserved, not taken. Here a shop makes sure that it can deliver: takes the kettle from its stock,
    // under a key of its own that it can repeat. If it cannot, it calls /void under a fourth key and no money moves.

    const captured = await post(`/attempts/${id}/capture`, keys.capture, null);
    if (has(captured, 'CAPTURED')) return { outcome: 'paid', attempt_id: id };
    return captured.error ? notDone(captured) : { stuck: `captured, but the attempt is ${captured.attempt.status}` };
  }
}

/**
 * An answer that is not the one hoped for. Only `safe_new_key` says that the attempt has ended without money, and that a
 * try under new keys cannot pay twice: not the status code, and no guess of ours.
 * @param {import('./pay-once.js').Answer} answer
 * @returns {import('./orders.js').Ending | {stuck: string}}
 */
function notDone({ status, error, attempt }) {
  if (error?.safe_new_key !== true) return { stuck: `HTTP ${status} ${error?.code}: ${error?.message}` };
  return {
    outcome: status === 402 ? 'declined' : 'released',
    attempt_id: attempt?.attempt_id,
    code: error.decline_code ?? attempt?.status ?? error.code,
    message: attempt?.decline?.message ?? error.message,
  };
}

/**
 * Whether the attempt has come to one of these, also by another hand (409 INVALID_STATE shows the attempt as it is).
 * @param {import('./pay-once.js').Answer} answer
 * @param {string[]} statuses
 */
const has = (answer, ...statuses) => statuses.includes(answer.attempt?.status ?? '');

/** @param {import('./pay-once.js').Attempt} [attempt] */
export const isInDoubt = (attempt) =>
  attempt?.operation?.state === 'in_doubt' || attempt?.operation?.state === 'parked';
