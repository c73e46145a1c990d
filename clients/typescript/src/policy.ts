// What follows an answer, decided without I/O, clock and randomness. The Python client decides the same; the cases in
// clients/policy-cases.json hold for both.

import * as errors from './errors.js';
import type { ErrorFacts, PayOnceError } from './errors.js';
import type { Attempt, Refusal } from './types.js';

export interface PolicyOptions {
  /** How long the server may hold a call open (`Prefer: wait`), in seconds, from 0 to 30. */
  waitS: number;
  /** How much longer than `waitS` an answer may take. */
  graceMs: number;
  /** How long the whole call may take, with all its retries. `null`: until it has an answer. */
  deadlineMs: number | null;
  /** The longest pause after the first failure. The limit doubles with each further failure. */
  backoffFirstMs: number;
  /** The limit of that limit. */
  backoffMaxMs: number;
  /** The most that is added to `Retry-After` between two questions about an operation that is under way. */
  pollMaxMs: number;
  /** Whether to keep asking while the customer has to act, instead of raising `ActionRequired`. */
  followAction: boolean;
}

export const DEFAULTS: PolicyOptions = {
  waitS: 10,
  graceMs: 5_000,
  deadlineMs: 60_000,
  backoffFirstMs: 200,
  backoffMaxMs: 10_000,
  pollMaxMs: 15_000,
  followAction: false,
};

/** What came of one request: an answer, or the reason why there is none. `body` is undefined if it is not JSON. */
export type Heard =
  | { failure: string; retryAfterMs?: number }
  | { status: number; retryAfterMs: number; body: unknown };

/** What is known while a call goes on. */
export interface Progress {
  /** The attempt as it was last seen. */
  attempt?: Attempt | undefined;
  /** The code of a refusal that is retried. */
  code?: string | undefined;
  /** Why the last request has no answer that can be relied on. */
  failure?: string | undefined;
  /** The pause before the next request. */
  waitMs: number;
}

export type Decision =
  | { action: 'wait'; waitMs: number; progress: Progress }
  | { action: 'done'; attempt: Attempt }
  | { action: 'raise'; error: PayOnceError };

/** One call with all its retries. Times are milliseconds of one monotonic clock. */
export class CallPolicy {
  readonly #options: PolicyOptions;
  readonly #begunMs: number;
  #failures = 0;
  #attempt: Attempt | undefined;

  constructor(options: PolicyOptions, nowMs: number) {
    this.#options = options;
    this.#begunMs = nowMs;
  }

  /** The limits of the next request: a call does not wait past its deadline. */
  limits(nowMs: number): { waitS: number; timeoutMs: number } {
    const { waitS, graceMs } = this.#options;
    const leftMs = this.#leftMs(nowMs);
    const heldS = Math.max(0, Math.min(waitS, Math.floor((leftMs - graceMs) / 1000)));
    return { waitS: heldS, timeoutMs: Math.max(1, Math.min(heldS * 1000 + graceMs, leftMs)) };
  }

  /** @param random from 0 up to 1: pauses differ between clients that failed together */
  heard(heard: Heard, nowMs: number, random: number): Decision {
    if ('failure' in heard) return this.#failed(heard.failure, heard.retryAfterMs ?? 0, nowMs, random);
    const { status, body, retryAfterMs } = heard;
    if (status >= 200 && status < 300 && isAttempt(body)) {
      this.#attempt = body;
      if (status !== 202) return { action: 'done', attempt: body };
      return this.#underWay(body, retryAfterMs, nowMs, random);
    }
    const refusal = status >= 400 ? refusalOf(body) : undefined;
    // A gateway's page, half a body, a redirect: whatever is not an answer of Pay Once says nothing about the money.
    if (refusal === undefined || status === 429) {
      const code = refusal === undefined ? 'not an answer of Pay Once' : refusal.code;
      return this.#failed(`HTTP ${status}, ${code}`, retryAfterMs, nowMs, random);
    }
    this.#attempt = refusal.attempt ?? this.#attempt;
    if (refusal.retryable) {
      const { code, attempt } = refusal;
      return this.#again({ code, attempt }, this.#backoffMs(retryAfterMs, random), retryAfterMs, nowMs);
    }
    return { action: 'raise', error: errorOf(status, refusal, retryAfterMs) };
  }

  #underWay(attempt: Attempt, retryAfterMs: number, nowMs: number, random: number): Decision {
    this.#failures = 0;
    if (attempt.status === 'REQUIRES_ACTION' && !this.#options.followAction) {
      const message = 'The customer has to act. Send the customer to `url`, and then call again with the same name.';
      return raise(errors.ActionRequired, { code: 'ACTION_REQUIRED', message, retryable: true, attempt, retryAfterMs });
    }
    // The longer an operation takes, the less often it is asked about.
    const spreadMs = Math.min((nowMs - this.#begunMs) / 10, this.#options.pollMaxMs);
    const waitMs = Math.max(retryAfterMs, this.#options.backoffFirstMs) + Math.floor(random * spreadMs);
    return this.#again({ attempt }, waitMs, retryAfterMs, nowMs);
  }

  #failed(failure: string, retryAfterMs: number, nowMs: number, random: number): Decision {
    return this.#again({ failure }, this.#backoffMs(retryAfterMs, random), retryAfterMs, nowMs);
  }

  /** Full jitter above `Retry-After`. */
  #backoffMs(retryAfterMs: number, random: number): number {
    const { backoffFirstMs, backoffMaxMs } = this.#options;
    const limitMs = Math.min(backoffFirstMs * 2 ** this.#failures, backoffMaxMs);
    this.#failures += 1;
    return retryAfterMs + Math.floor(random * limitMs);
  }

  #again(seen: Omit<Progress, 'waitMs'>, waitMs: number, retryAfterMs: number, nowMs: number): Decision {
    if (waitMs < this.#leftMs(nowMs)) return { action: 'wait', waitMs, progress: { ...seen, waitMs } };
    const last = seen.failure ?? seen.code ?? `the attempt is ${seen.attempt?.status}`;
    return raise(errors.OutcomeUnknown, {
      code: 'OUTCOME_UNKNOWN',
      message: `The outcome is not known yet; call again with the same name. Last: ${last}.`,
      retryable: true,
      attempt: this.#attempt,
      retryAfterMs,
    });
  }

  #leftMs(nowMs: number): number {
    const { deadlineMs } = this.#options;
    return deadlineMs === null ? Number.MAX_SAFE_INTEGER : this.#begunMs + deadlineMs - nowMs;
  }
}

function raise(kind: typeof PayOnceError, facts: ErrorFacts): Decision {
  return { action: 'raise', error: new kind(facts) };
}

function errorOf(status: number, refusal: Refusal, retryAfterMs: number): PayOnceError {
  const facts: ErrorFacts = {
    code: refusal.code,
    message: refusal.message,
    status,
    // A 5xx says that the server has a problem. It is no evidence about money, whatever else it says.
    safeNewKey: status < 500 && refusal.safe_new_key,
    attempt: refusal.attempt,
    field: refusal.field,
    declineCode: refusal.decline_code,
    retryAfterMs,
  };
  return new (kindOf(status, refusal.code))(facts);
}

function kindOf(status: number, code: string): typeof PayOnceError {
  if (status >= 500) return errors.ServerRefused;
  if (status === 402) return errors.Declined;
  if (status === 401 || status === 403) return errors.Unauthorized;
  if (status === 404) return errors.NotFound;
  if (code === 'INVALID_STATE') return errors.InvalidState;
  if (code === 'IDEMPOTENCY_KEY_REUSE') return errors.KeyReused;
  return status === 409 ? errors.Conflict : errors.InvalidRequest;
}

function isAttempt(body: unknown): body is Attempt {
  const { attempt_id, status } = members(body);
  return typeof attempt_id === 'string' && typeof status === 'string';
}

/** A refusal that has all members which decide what follows. */
function refusalOf(body: unknown): Refusal | undefined {
  const { error } = members(body);
  const { code, message, retryable, safe_new_key, attempt } = members(error);
  const isRefusal =
    typeof code === 'string' &&
    typeof message === 'string' &&
    typeof retryable === 'boolean' &&
    typeof safe_new_key === 'boolean' &&
    (attempt === undefined || isAttempt(attempt));
  return isRefusal ? (error as Refusal) : undefined;
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/**
 * `Retry-After` in milliseconds: whole seconds, or a date of a gateway. 0 if there is none or it cannot be read.
 * @param nowMs the wall clock, for a date
 */
export function retryAfterMs(header: string | null, nowMs: number): number {
  const text = header?.trim() ?? '';
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
  // The one form of a date that RFC 9110 lets a server send.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return 0;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? 0 : Math.max(0, dateMs - nowMs);
}
