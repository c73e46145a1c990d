// What a test of the client needs: Pay Once with its sandbox PSP, the bad network before it, and the PSP's ledger.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository, from clients/typescript/build/test. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
/** How long a process may take to say where it listens, in milliseconds: a busy machine, a debug build. */
const STARTS_WITHIN_MS = 30_000;
/** The chances of the network: printed, and given back by CLIENTS_SEED. */
export const seed = Number(process.env['CLIENTS_SEED'] ?? Math.floor(Math.random() * 1e9));

export interface Ledger {
  authorizations: number;
  captures: number;
  captured_minor: number;
  voids: number;
  live_authorizations: number;
}

export interface ProxyReport {
  counts: Record<string, number>;
  keys: Record<string, number>;
  mixed_keys: string[];
}

/** Faults of all kinds, as rates from 0 to 1. */
export const FOUL = { lose_request: 0.15, lose_answer: 0.2, repeat: 0.2, cut: 0.05, gateway: 0.08, delay: 0.03 };

const children = new Set<ChildProcess>();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a process, and waits until it has said all of these lines; gives the first group of each. */
async function start(command: string, args: string[], lines: RegExp[]): Promise<{ child: ChildProcess; said: string[] }> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const until = Date.now() + STARTS_WITHIN_MS;
  for (;;) {
    const said = lines.map((line) => line.exec(output)?.[1]);
    if (said.every((words) => words !== undefined)) return { child, said: said as string[] };
    assert.ok(Date.now() < until && child.exitCode === null, `${command} did not start:\n${output}`);
    await pause(20);
  }
}

/** PAY_ONCE_BIN is the binary, or the directory that it is in. */
function binary(): string {
  const path = process.env['PAY_ONCE_BIN'] ?? join(ROOT, 'target/debug');
  return statSync(path).isDirectory() ? join(path, 'pay-once') : path;
}

async function json(url: string, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(url, init);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}

export class World {
  private constructor(
    /** The address of the bad network. */
    readonly url: string,
    readonly sandboxUrl: string,
    readonly directory: string,
    private readonly started: ChildProcess[],
  ) {}

  static async start(latencyMs = '0..60'): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), 'pay-once-client-'));
    const payOnce = await start(
      binary(),
      [
        ...['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--sandbox-listen', '127.0.0.1:0'],
        ...['--data', join(directory, 'data'), '--log', 'warn', '--sandbox-latency-ms', latencyMs],
      ],
      [/listening on (http:\S+)/, /sandbox PSP on (http:\S+)/],
    );
    const [upstream = '', sandboxUrl = ''] = payOnce.said;
    const script = join(ROOT, 'clients/testing/faulty-proxy.js');
    const proxy = await start(process.execPath, [script, upstream, String(seed)], [/proxy on (http:\S+)/]);
    return new World(proxy.said[0] ?? '', sandboxUrl, directory, [payOnce.child, proxy.child]);
  }

  /** Sets the network's faults; those that are not named have rate 0. */
  async faults(rates: Partial<typeof FOUL>): Promise<void> {
    await json(`${this.url}/proxy`, { method: 'PUT', body: JSON.stringify(rates) });
  }

  async report(): Promise<ProxyReport> {
    return (await json(`${this.url}/proxy`)) as ProxyReport;
  }

  /** Waits until nothing is on its way any more, repetitions included. */
  async quiet(): Promise<ProxyReport> {
    for (;;) {
      const report = await this.report();
      if (report.counts['under_way'] === 0) return report;
      await pause(50);
    }
  }

  /** What the PSP did for one attempt. */
  async ledgerOf(attemptId: string): Promise<Ledger> {
    return (await json(`${this.sandboxUrl}/ledger/${attemptId}`)) as Ledger;
  }

  /** What the PSP did, by attempt. */
  async ledger(): Promise<Record<string, Ledger>> {
    return (await json(`${this.sandboxUrl}/ledger`)) as Record<string, Ledger>;
  }

  stop(): void {
    for (const child of this.started) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
