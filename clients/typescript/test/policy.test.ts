// The policy by the table that the Python client is tested by as well.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CallPolicy, DEFAULTS, retryAfterMs } from '../src/index.js';
import type { Decision, Heard, PolicyOptions } from '../src/index.js';
import { ROOT } from './servers.js';

interface Step {
  at_ms: number;
  random: number;
  heard: { failure?: string; status?: number; retry_after_ms?: number; body?: unknown };
  then: Record<string, unknown>;
}

const table = JSON.parse(readFileSync(join(ROOT, 'clients/policy-cases.json'), 'utf8')) as {
  calls: Array<{ name: string; options: Record<string, never>; steps: Step[] }>;
  limits: Array<{ name: string; options: Record<string, never>; at_ms: number; wait_s: number; timeout_ms: number }>;
  retry_after: { now_ms: number; cases: Array<{ header: string | null; ms: number }> };
};

/** `deadline_ms` in the table is `deadlineMs` here. */
function optionsOf(named: Record<string, never>): PolicyOptions {
  const options: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, value] of Object.entries(named)) {
    const member = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    assert.ok(member in DEFAULTS, name);
    options[member] = value;
  }
  return options as unknown as PolicyOptions;
}

function heardOf({ failure, status, retry_after_ms, body }: Step['heard']): Heard {
  if (failure !== undefined) return { failure, retryAfterMs: retry_after_ms ?? 0 };
  return { status: status ?? 0, retryAfterMs: retry_after_ms ?? 0, body };
}

/** A decision in the words of the table, without what is undefined. */
function told(decision: Decision): Record<string, unknown> {
  const words: Record<string, unknown> = {};
  if (decision.action === 'done') words['done'] = decision.attempt.status;
  if (decision.action === 'wait') {
    const { attempt, code, failure, waitMs } = decision.progress;
    assert.equal(waitMs, decision.waitMs);
    assert.ok(attempt !== undefined || code !== undefined || failure !== undefined);
    Object.assign(words, { wait_ms: waitMs, code, attempt: attempt?.status });
  }
  if (decision.action === 'raise') {
    const { name, code, retryable, safeNewKey, attempt, declineCode, field, retryAfterMs } = decision.error;
    Object.assign(words, { raise: name, code, retryable, safe_new_key: safeNewKey, attempt: attempt?.status });
    Object.assign(words, { decline_code: declineCode, field, retry_after_ms: retryAfterMs || undefined });
  }
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));
}

for (const { name, options, steps } of table.calls) {
  test(name, () => {
    const policy = new CallPolicy(optionsOf(options), 0);
    for (const { at_ms, random, heard, then } of steps) {
      assert.deepEqual(told(policy.heard(heardOf(heard), at_ms, random)), then);
    }
  });
}

for (const { name, options, at_ms, wait_s, timeout_ms } of table.limits) {
  test(name, () => {
    const policy = new CallPolicy(optionsOf(options), 0);
    assert.deepEqual(policy.limits(at_ms), { waitS: wait_s, timeoutMs: timeout_ms });
  });
}

test('Retry-After is read, or ignored', () => {
  for (const { header, ms } of table.retry_after.cases) {
    assert.equal(retryAfterMs(header, table.retry_after.now_ms), ms, String(header));
  }
});
