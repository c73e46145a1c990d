// Processes under test, each on a port of the loopback interface that it picked itself, and ended by its owner.

import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** How long a process may take to say where it listens, in milliseconds: two noisy cores, debug builds. */
const STARTS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 5_000;

const CHECKOUT = join(import.meta.dirname, '..');

/** PAY_ONCE_BIN is the binary, or the directory that it is in. */
function payOnceBinary() {
  const path = process.env.PAY_ONCE_BIN ?? join(CHECKOUT, '../../target/debug');
  return statSync(path).isDirectory() ? join(path, 'pay-once') : path;
}

/** Whatever ends this process, its children end with it. @type {Set<import('node:child_process').ChildProcess>} */
const alive = new Set();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export class Process {
  #child;
  #output = '';
  #exited;

  /**
   * @param {string} command
   * @param {string[]} args
   */
  constructor(command, args) {
    // Nothing of the environment gets in but what is needed to run at all.
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (bytes) => (this.#output += bytes));
    }
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve).once('error', resolve));
    alive.add(this.#child);
    this.#exited.then(() => alive.delete(this.#child));
  }

  get output() {
    return this.#output;
  }

  /** @param {RegExp} line waits for it; its first group @returns {Promise<string>} */
  async said(line) {
    const until = Date.now() + STARTS_WITHIN_MS;
    for (;;) {
      const match = line.exec(this.#output);
      if (match) return match[1];
      if (Date.now() > until || this.#child.exitCode !== null)
        throw new Error(`${line} was never said:\n${this.#output}`);
      await pause(20);
    }
  }

  /** Ends it as a power cut would. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks it to end, and insists. @returns {Promise<boolean>} whether asking was enough */
  async stop() {
    this.#child.kill('SIGTERM');
    const ended = await Promise.race([this.#exited.then(() => true), pause(ENDS_WITHIN_MS).then(() => false)]);
    if (!ended) await this.kill();
    return ended;
  }
}

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

/**
 * Pay Once with its sandbox inside.
 * @param {{data: string, latencyMs: string, listen?: string, sandboxListen?: string}} options
 */
export async function startPayOnce({ data, latencyMs, listen = '127.0.0.1:0', sandboxListen = '127.0.0.1:0' }) {
  const process = new Process(payOnceBinary(), [
    ...['--listen', listen, '--data', data, '--log', 'warn'],
    ...['--admin-listen', '127.0.0.1:0'],
    ...['--sandbox-listen', sandboxListen, '--sandbox-latency-ms', latencyMs],
  ]);
  const url = await process.said(/listening on (http:\S+)/);
  const sandboxUrl = await process.said(/sandbox PSP on (http:\S+)/);
  return { process, url, sandboxUrl };
}

/** The shop. @param {{listen: string, payOnceUrl: string, data: string}} options */
export async function startShop({ listen, payOnceUrl, data }) {
  const shop = new Process(process.execPath, [
    join(CHECKOUT, 'server.js'),
    ...['--listen', listen, '--pay-once', payOnceUrl, '--data', data, '--wait', '2'],
  ]);
  return { process: shop, url: await shop.said(/shop on (http:\S+)/) };
}
