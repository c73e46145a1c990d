// Orders that survive a crash: a journal of JSON lines, synced to disk before anything is done on the strength of it.
//
// The one thing that a merchant must get right before calling a payments API: the idempotency keys of a payment are on
// disk *before* the first call. Then whoever comes after a crash makes the same calls under the same keys, and they are
// the same payment. A key that is made anew after a crash is a second payment. The client makes the keys and hands them
// to `keep`, which is why an `Orders` is its key store.
//
// In your shop this is your database: a row for each (order, try), unique, and a table for what the client keeps. What
// matters is the same.

import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';

/**
 * How a try ended.
 * @typedef {object} Ending
 * @property {'paid' | 'declined' | 'released'} outcome `released`: it ended without money, though nobody declined it
 * @property {string} [attempt_id]
 * @property {string} [code] why it was not paid
 * @property {string} [message] the same, in the PSP's words
 */

/**
 * One try at paying for an order: one attempt at Pay Once.
 * @typedef {object} Try
 * @property {number} number 1, 2, …
 * @property {string} at when it was begun, RFC 3339
 * @property {import('pay-once').Create} body what `POST /attempts` is sent: a retry must not differ
 * @property {Ending | null} ending null while it is not known
 */

/**
 * @typedef {object} Order
 * @property {string} id
 * @property {string} item
 * @property {number} amount minor units
 * @property {string} currency
 * @property {Try[]} tries never empty
 */

/** @typedef {'open' | 'paid' | 'unpaid'} State `open`: not known yet. `unpaid`: known to have taken no money. */

/** 128 random bits: who knows the id of an order may see it, as with any link in an order confirmation. */
export const newOrderId = () => `ord_${randomBytes(16).toString('hex')}`;

/** @param {unknown} text @returns {text is string} */
export const isOrderId = (text) => typeof text === 'string' && /^ord_[0-9a-f]{32}$/.test(text);

/** @param {Order} order @returns {Try} the last one */
export const currentTry = (order) => /** @type {Try} */ (order.tries.at(-1));

/** @param {Order} order @returns {State} */
export function stateOf(order) {
  const ending = currentTry(order).ending;
  if (ending === null) return 'open';
  return ending.outcome === 'paid' ? 'paid' : 'unpaid';
}

/** All orders, and the client's keys. One process owns the file. */
export class Orders {
  /** @type {Map<string, Order>} */
  #orders = new Map();
  /** @type {Map<string, string>} */
  #kept = new Map();
  #file;

  /** @param {string} path */
  constructor(path) {
    mkdirSync(dirname(path), { recursive: true });
    this.#file = openSync(path, 'a+', 0o600);
    this.#replay(path);
    // The file's name must be as durable as its bytes.
    const directory = openSync(dirname(path), 'r');
    fsyncSync(directory);
    closeSync(directory);
  }

  /** @param {string} id */
  get(id) {
    return this.#orders.get(id);
  }

  /** What the client keeps under this name. @param {string} name */
  load(name) {
    return this.#kept.get(name);
  }

  /**
   * Keeps a value of the client, unless there is one under this name; gives the one that is kept.
   * @param {string} name
   * @param {string} value
   */
  keep(name, value) {
    if (!this.#kept.has(name)) this.#write({ event: 'kept', name, value });
    return /** @type {string} */ (this.#kept.get(name));
  }

  /** The orders whose end is not known: they go on after a restart. */
  open() {
    return [...this.#orders.values()].filter((order) => stateOf(order) === 'open');
  }

  /**
   * Begins try `number` of order `id`, unless that has been begun, or the try before it is not known to have ended
   * without money. Whatever a browser does (a double click, a reload, a second tab, a form that is sent again), it asks
   * for the same `number` and so begins one try. Nothing is awaited between the look and the leap: that is the lock. In
   * a database, the unique (order, number) is.
   *
   * @param {string} id
   * @param {number} number
   * @param {string} card the PSP's token
   * @param {{id: string, amount: number, currency: string}} product what a first try is for, at the price of now
   * @param {string} returnUrl where the bank's page sends the customer
   * @returns {Order | undefined} the order as it is then; undefined if there is none
   */
  begin(id, number, card, product, returnUrl) {
    const known = this.#orders.get(id);
    const isNext = known ? stateOf(known) === 'unpaid' && number === known.tries.length + 1 : number === 1;
    if (!isNext) return known;
    // A later try is for the amount that the customer was shown, even if the price has changed.
    const { item, amount, currency } = known ?? { item: product.id, ...product };
    this.#write({
      event: 'begun',
      order: id,
      number,
      at: new Date().toISOString(),
      item,
      body: {
        order_id: id,
        amount,
        currency,
        payment_method: card,
        return_url: returnUrl,
        metadata: { try: String(number) },
      },
    });
    return this.#orders.get(id);
  }

  /**
   * Writes down how the current try ended.
   * @param {Order} order
   * @param {Ending} ending
   */
  end(order, ending) {
    this.#write({
      event: 'ended',
      order: order.id,
      number: currentTry(order).number,
      at: new Date().toISOString(),
      ...ending,
    });
  }

  /** @param {Record<string, any>} entry */
  #write(entry) {
    try {
      const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
      fsyncSync(this.#file);
    } catch (error) {
      // What is on disk now is not known, and may be half a line. The next start reads it and knows. Going on would be a
      // guess, and so would be any answer to the customer.
      console.error('The order journal cannot be written:', error);
      process.exit(1);
    }
    this.#apply(entry);
  }

  /** @param {Record<string, any>} entry */
  #apply({ event, order: id, number, at, item, body, keys, name, value, ...ending }) {
    const order = this.#orders.get(id);
    // An earlier journal has keys in a try. To go on under new ones would be a second payment, so it is refused.
    if (event === 'kept') {
      this.#kept.set(name, value);
    } else if (event === 'begun' && !keys && number === (order?.tries.length ?? 0) + 1) {
      /** @type {Order} */
      const made = order ?? { id, item, amount: body.amount, currency: body.currency, tries: [] };
      made.tries.push({ number, at, body, ending: null });
      this.#orders.set(id, made);
    } else if (event === 'ended' && order !== undefined && currentTry(order).number === number) {
      currentTry(order).ending = /** @type {Ending} */ (ending);
    } else {
      throw new Error(`an entry that does not follow: ${event} ${id} ${number}`);
    }
  }

  /** @param {string} path */
  #replay(path) {
    const bytes = readFileSync(path);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    bytes
      .subarray(0, whole)
      .toString()
      .split('\n')
      .slice(0, -1)
      .forEach((line, i) => {
        try {
          this.#apply(JSON.parse(line));
        } catch (error) {
          // A line in the middle was synced before the next was written: damage, not a crash. Skipping it could forget
          // a payment, so a person has to look.
          throw new Error(`${path}, line ${i + 1}: ${/** @type {Error} */ (error).message}`);
        }
      });
    if (whole < bytes.length) {
      // A last line without its end was being written when the process died. Nothing was done on the strength of it.
      ftruncateSync(this.#file, whole);
      fsyncSync(this.#file);
    }
  }
}
