// A bad network between the shop and Pay Once: answers get lost after their request took effect, requests come twice, at
// the same time or late, and everything may take its time.

import { Agent, createServer, request as httpRequest } from 'node:http';
import { lottery } from '../../../clients/testing/lottery.js';
import { pause } from './processes.js';

/**
 * @typedef {object} Weather chances from 0 to 1
 * @property {number} drop the answer is lost, after its effect
 * @property {number} refuse the request is lost, before any effect
 * @property {number} twice the request is sent a second time, at once or a little later
 * @property {number} gateway a 502 in place of the answer, after its effect
 * @property {number} delayMs longest delay, before the request and before the answer
 */

/** @type {Weather} */
export const FAIR = { drop: 0, refuse: 0, twice: 0, gateway: 0, delayMs: 0 };
/** @type {Weather} */
export const FOUL = { drop: 0.25, refuse: 0.1, twice: 0.3, gateway: 0.1, delayMs: 40 };

/** The most messages of one call that are lost one after the other: a case must come to its end. */
const LOST_MAX = 3;

export class LossyProxy {
  /** What was done to messages, over the whole life. */
  counts = { requests: 0, dropped: 0, refused: 0, twice: 0, gateway: 0, broken: 0 };
  /** How many messages of a call were lost since one went through. @type {Map<string, number>} */
  #lost = new Map();
  /** The different idempotency keys seen, by what they were for. @type {Map<string, Set<string>>} */
  keys = new Map();
  /** @type {Weather} */
  weather = FAIR;
  /** How many answers to each call are lost whatever the weather: `{'POST /attempts': 2}`. @type {Record<string, number>} */
  loseAnswers = {};
  url = '';

  #upstream;
  #draw;
  #server;
  #agent = new Agent({ keepAlive: true });
  /** @type {Set<Promise<unknown>>} */
  #pending = new Set();
  /** @type {Array<{call: string, when: string, key?: string, seen: () => void, open: Promise<void>}>} */
  #holds = [];

  /** @param {string} upstream @param {number} seed */
  constructor(upstream, seed) {
    this.#upstream = new URL(upstream);
    this.#draw = lottery(seed);
    this.#server = createServer((request, response) => {
      const done = this.#pass(request, response)
        .catch(() => {
          // Pay Once itself gave no answer.
          this.counts.broken += 1;
          response.destroy();
        })
        .finally(() => this.#pending.delete(done));
      this.#pending.add(done);
    });
  }

  /** @returns {Promise<this>} */
  listen() {
    return new Promise((resolve) =>
      this.#server.listen(0, '127.0.0.1', () => {
        this.url = `http://127.0.0.1:${/** @type {any} */ (this.#server.address()).port}`;
        resolve(this);
      }),
    );
  }

  /**
   * Holds the next such call, before it reaches Pay Once or after it had its effect there; and with it all its retries.
   * @param {string} call @param {'before' | 'after'} when
   * @returns {{seen: Promise<void>, release: () => void}} `seen` when the call has come that far
   */
  hold(call, when) {
    let release = () => {};
    const open = new Promise((resolve) => (release = () => resolve(undefined)));
    const seen = new Promise((resolve) => this.#holds.push({ call, when, seen: () => resolve(undefined), open }));
    return { seen, release };
  }

  /** Waits until nothing is on its way any more, late copies included. */
  async quiet() {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
  }

  /** @param {string} call @param {'before' | 'after'} when @param {string | undefined} key */
  async #held(call, when, key) {
    const holds = this.#holds.filter((hold) => hold.call === call && hold.when === when);
    const hold = holds.find((one) => one.key === key) ?? holds.find((one) => one.key === undefined);
    if (!hold) return;
    hold.key = key;
    hold.seen();
    await hold.open;
  }

  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  async #pass(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const call = `${request.method} ${request.url?.replace(/pa_[0-9A-Z]+/, '{id}')}`;
    const delay = () => pause(this.#draw() * this.weather.delayMs);
    this.counts.requests += 1;
    const key = /** @type {string | undefined} */ (request.headers['idempotency-key']);
    const name = key ?? call;
    const lost = this.#lost.get(name) ?? 0;
    this.#lost.set(name, lost + 1);
    // A chance of 1 is no chance.
    const chance = (/** @type {number} */ p) => p === 1 || (this.#draw() < p && lost < LOST_MAX);
    if (key) this.keys.set(call, (this.keys.get(call) ?? new Set()).add(key));

    await this.#held(call, 'before', key);
    await delay();
    if (chance(this.weather.refuse)) {
      this.counts.refused += 1;
      return response.destroy();
    }
    if (this.#draw() < this.weather.twice) {
      this.counts.twice += 1;
      const late = this.#draw() < 0.5 ? 0 : 400 * this.#draw();
      const copy = pause(late)
        .then(() => this.#send(request, body))
        .catch(() => {})
        .finally(() => this.#pending.delete(copy));
      this.#pending.add(copy);
    }
    const answer = await this.#send(request, body);
    await this.#held(call, 'after', key);
    await delay();
    const isLost = (this.loseAnswers[call] ?? 0) > 0;
    if (isLost) this.loseAnswers[call] -= 1;
    if (isLost || chance(this.weather.drop)) {
      this.counts.dropped += 1;
      return response.destroy();
    }
    if (chance(this.weather.gateway)) {
      this.counts.gateway += 1;
      return response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502 Bad Gateway</h1>');
    }
    this.#lost.set(name, 0);
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  /**
   * @param {import('node:http').IncomingMessage} request @param {Buffer} body
   * @returns {Promise<{status: number, headers: import('node:http').IncomingHttpHeaders, body: Buffer}>}
   */
  #send(request, body) {
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.#upstream;
      const { method, url: path, headers } = request;
      const onward = httpRequest({ hostname, port, method, path, headers, agent: this.#agent }, async (answer) => {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        const { connection, 'transfer-encoding': _, ...rest } = answer.headers;
        resolve({ status: answer.statusCode ?? 502, headers: rest, body: Buffer.concat(chunks) });
      });
      onward.on('error', reject);
      onward.end(body);
    });
  }
}
