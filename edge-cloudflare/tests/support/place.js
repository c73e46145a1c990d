// The Worker and the sandbox PSP, in the environment of the shared suite, on a storage that outlives crashes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, run, start } from "./process.js";

const target = process.env.CARGO_TARGET_DIR ?? join(import.meta.dirname, "../../../target");
const program = (name) => join(target, "debug", name);
export const SUITE = program("pay-once-suite");
export const GOLDEN = join(import.meta.dirname, "../../../suite/transcript.txt");
const SECRETS = { PAY_ONCE_PSP_KEY: "sk_suite", PAY_ONCE_WEBHOOK_SECRET: "whsec_suite" };

/** The configuration of the suite, for a PSP at `pspUrl`. */
export async function configuration(pspUrl) {
  const { code, output } = await run(SUITE, ["config", "--json", "--psp-url", pspUrl]);
  if (code !== 0) throw new Error(`pay-once-suite config ended ${code}`);
  return JSON.parse(output);
}

export class Place {
  /** Starts both. `latency` of the PSP is `MIN..MAX` in milliseconds. */
  static async start({ latency = "0..0" } = {}) {
    const place = new Place();
    place.directory = mkdtempSync(join(tmpdir(), "pay-once-"));
    place.port = await freePort();
    place.url = `http://127.0.0.1:${place.port}`;
    place.lines = [];
    const sandbox = await start(
      program("pay-once-sandbox"),
      ["--latency-ms", latency, "--webhook-secret", SECRETS.PAY_ONCE_WEBHOOK_SECRET, "--webhook-url", `${place.url}/webhooks`],
      (line) => line.match(/http:\S+/)?.[0],
    );
    place.sandbox = sandbox.child;
    place.psp = sandbox.found;
    place.bindings = { ...SECRETS, PAY_ONCE: await configuration(place.psp) };
    await place.up();
    return place;
  }

  /** Starts the Worker, on the storage that is there. */
  async up() {
    const options = { port: this.port, directory: this.directory, bindings: this.bindings };
    const script = join(import.meta.dirname, "workerd.js");
    const worker = await start(process.execPath, [script, JSON.stringify(options)], (line) => line.startsWith("ready "), {
      line: (line) => this.lines.push(line),
    });
    this.worker = worker.child;
  }

  /** `kill -9` of workerd and all that is around it. */
  async crash() {
    await this.worker.ended();
  }

  async stop() {
    await this.worker.ended();
    await this.sandbox.ended();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Forgets one kind of storage (`objects` or `kv`), the Worker being down. */
  forget(what) {
    rmSync(join(this.directory, what), { recursive: true, force: true });
  }

  /** The Worker's structured log lines about an attempt's durable steps. */
  written(id) {
    return this.log().filter((line) => line.message === "written" && (!id || line.attempt === id));
  }

  log() {
    return this.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  async send(method, path, { key, body, token = "suite-token-of-shop", headers = {} } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(key && { "idempotency-key": key }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return {
      status: response.status,
      replayed: response.headers.get("idempotency-replayed") === "true",
      text,
      json: JSON.parse(text),
    };
  }

  post(path, key, body, more = {}) {
    return this.send("POST", path, { key, body, ...more });
  }

  async get(id, more = {}) {
    return (await this.send("GET", `/attempts/${id}`, more)).json;
  }

  /** Looks at the attempt until `is` holds of it. */
  async until(id, is, { more = {}, withinMs = 40_000 } = {}) {
    const end = Date.now() + withinMs;
    for (;;) {
      const attempt = await this.get(id, more);
      if (is(attempt)) return attempt;
      if (Date.now() > end) throw new Error(`it never came: ${JSON.stringify(attempt)}`);
      await sleep(100);
    }
  }

  /** Waits for `is` to hold, without a request to the Worker. */
  async waitFor(what, is, withinMs = 40_000) {
    const end = Date.now() + withinMs;
    while (!(await is())) {
      if (Date.now() > end) throw new Error(`it never came: ${what}`);
      await sleep(50);
    }
  }

  async dials(settings) {
    const response = await fetch(`${this.psp}/dials`, { method: "PUT", body: JSON.stringify(settings) });
    if (!response.ok) throw new Error(await response.text());
  }

  /** What really happened to the money of an attempt. */
  async ledger(id) {
    const response = await fetch(`${this.psp}/ledger/${id}`);
    return response.status === 404 ? nothing : response.json();
  }

  async wholeLedger() {
    return (await fetch(`${this.psp}/ledger`)).json();
  }
}

const nothing = { authorizations: 0, live_authorizations: 0, captures: 0, captured_minor: 0, refunded_minor: 0 };

/** Whether nothing is under way any more and nothing will begin by itself soon. */
export function isSettled(attempt) {
  const ended = ["CREATED", "CAPTURED", "VOIDED", "DECLINED", "EXPIRED"].includes(attempt.status);
  return !attempt.operation && (ended || (attempt.status === "AUTHORIZED" && attempt.capture_method !== "automatic"));
}

/** Why a settled attempt and the ledger do not tell the same story, with the money moved at most once. */
export function disagreement(attempt, ledger) {
  const { live_authorizations: live, captures } = ledger;
  const kept = ledger.captured_minor - ledger.refunded_minor;
  const expected = {
    AUTHORIZED: [1, 0, 0],
    CAPTURED: [1, 1, attempt.capture?.amount],
    CREATED: [0, 0, 0],
    VOIDED: [0, captures, 0],
    DECLINED: [0, captures, 0],
    EXPIRED: [0, captures, 0],
  }[attempt.status];
  const is = [live, captures, kept];
  if (captures <= 1 && JSON.stringify(is) === JSON.stringify(expected)) return undefined;
  return `${attempt.status}, but the ledger has ${is}\n${JSON.stringify(attempt)}\n${JSON.stringify(ledger)}`;
}
