//! The table of planted bugs: variant, name, what it breaks, room, the mistake, and how it shows.

bugs! {
    // Rule 1
    SendByNotChecked, "send-by-not-checked", "rule 1", "edge-local/server",
        "The time to send by is not checked again right before sending.",
        "queryable, two servers: the owner pauses between commit and send until another has proven absence and sent \
         the next number; two effects. Any class: a request that reaches the PSP after its send_by";
    SendByCheckedBeforeConnect, "send-by-checked-before-connect", "rule 1", "edge-local/psp_client",
        "The time to send by is checked before the connection is made, not right before the first byte.",
        "any class: connecting takes longer than send_window_ms (SYN held); a request after its send_by, and with \
         short constants two effects on queryable";
    CallBeforeCommit, "call-before-commit", "rule 1", "edge-local/server",
        "The PSP is called before the dispatch is durable.",
        "queryable or blind, two servers: the same request at both, one swap conflicts, both call; or a crash, or an \
         unknown swap that was lost, after the call: nothing in the journal tells of it";

    // Rule 2
    ReplyBeforeDurable, "reply-before-durable", "rule 2", "edge-local/server",
        "An answer that is ready goes out while its write is still under way.",
        "any class: a create or webhook whose swap is lost, or a crash within it; 201 and then 404";
    UnknownSwapIsApplied, "unknown-swap-is-applied", "rule 2", "edge-local/server",
        "A swap of unknown outcome counts as applied.",
        "any class: a create whose swap times out unapplied; 201 and then 404. queryable: the same at an authorize; \
         called without a journal, and called again on the retry";
    UnknownSwapIsLost, "unknown-swap-is-lost", "§1 liveness", "edge-local/server",
        "A swap of unknown outcome counts as lost, without reading back.",
        "any class: a dispatch whose swap times out after it applied; nobody calls until the lease is over (extra \
         writes, 32 s of 202), and on blind the attempt is parked though nothing was ever sent; a create answers 200";
    ConflictIsApplied, "conflict-is-applied", "rule 2", "edge-local/server",
        "A swap that found another version counts as applied.",
        "queryable or blind, two servers: the same request at both at once; two calls, two effects";
    WebhookAckedInOutage, "webhook-acked-in-outage", "rule 2", "core/request",
        "A webhook that could not be stored is acknowledged.",
        "blind: the answer is lost after the effect and the store is down when the webhook comes; it is not sent \
         again, and the attempt stays parked";

    // Rule 3
    FreshEffectAfterUnknown, "fresh-effect-after-unknown", "rule 3", "core/recovery",
        "An unknown is re-sent under the next effect number.",
        "keyed: the answer is lost after the effect; two effects (the invariant of rule 3 sees it first)";
    KeyPerCall, "key-per-call", "rule 3", "core/work",
        "The PSP key is made from the call's id instead of the effect number.",
        "keyed: the answer is lost after the effect; the re-send has a new key and a second effect";
    NumberStaysAfterProof, "number-stays-after-proof", "rule 3", "core/recovery",
        "After proof of non-effect the next try goes out under the old key.",
        "stripe, keyed and queryable: a 500 without effect that is kept under the key, at a capture, or at an \
         authorize with a long authorize_retry_ms; the 500 is replayed for ever and the capture is parked";
    EffectsInARow, "effects-in-a-row", "§1 liveness", "core/due",
        "What is proven not to have happened is tried anew at once, each time.",
        "addressable, listed or queryable: the PSP is read-only for a while; a capture's effect numbers are used up in it, \
         and it is parked";
    CaptureWithoutKey, "capture-without-key", "rule 3", "core/psp/acquirer",
        "A capture at an acquirer carries no Idempotency-Key.",
        "acquirer keyed: a capture's answer is lost after the effect; the re-send captures again";

    // Rule 4, and its last resort
    LeaseExpiryResends, "lease-expiry-resends", "rule 4", "core/recovery",
        "A call whose owner fell silent is sent again, key or no key.",
        "queryable or blind: a server dies after the call has left and before its answer is stored; two effects";
    BlindResends, "blind-resends", "§5 blind", "core/recovery",
        "An unknown at a blind PSP is tried once more before it is parked.",
        "blind: the answer is lost after the effect; two effects";

    // Rule 5
    HorizonIgnored, "horizon-ignored", "rule 5", "core/due",
        "A PSP key is re-sent however old it is.",
        "keyed only, short horizon: effect with its answer lost, then no answers until the key is forgotten; two effects";
    HorizonWithoutFlight, "horizon-without-flight", "rule 5", "core/due",
        "The horizon is taken to its last moment, without flight time and clock skew.",
        "keyed only, short horizon: effect with its answer lost; a re-send shortly before the horizon is held in flight \
         past it, or leaves by a clock that is behind; two effects";
    HorizonFromLastSend, "horizon-from-last-send", "rule 5", "core/running",
        "The horizon is counted from the last sending of the key instead of the first.",
        "keyed only, short horizon: effect with its answer lost, and re-sends that go unanswered until past the \
         horizon; the next has a second effect";

    // Rule 6
    AbsenceAtOnce, "absence-at-once", "rule 6", "core/look",
        "“Not found” counts as soon as it is said.",
        "queryable: the answer is lost and the look-up lags behind the effect, or the request lands late; two effects";
    AbsenceWithoutLookupLag, "absence-without-lookup-lag", "rule 6", "core/due",
        "“Not found” counts before the PSP's look-up has caught up.",
        "queryable with a lag of the order of max_in_flight_ms: late landing without answer, found only after the lag; \
         two effects, or DECLINED with a live authorization";
    AbsenceWithoutSkew, "absence-without-skew", "rule 6", "core/due",
        "“Not found” counts without regard to clock skew.",
        "queryable, two servers: the sender's clock behind, the asker's ahead, the request lands at the last allowed \
         moment; asked too early by less than the skew";
    AbsenceFromFirstSend, "absence-from-first-send", "rule 6", "core/due",
        "“Not found” counts from the first sending instead of the last.",
        "keyed and queryable: the first sending is lost, re-sends time out one by one, the last lands late; after \
         “not found” the next number goes out as well, or DECLINED with a live authorization";
    UnfinishedActionIsAbsence, "unfinished-action-is-absence", "rule 6", "core/psp/acquirer",
        "A listing with an unfinished 3-D Secure and nothing else reads as “nothing there”.",
        "queryable, 3-D Secure: the answer that asks for it is lost; DECLINED (or a second number) while the \
         customer can still finish, who then has an authorization";
    LookupWindowWithoutSkew, "lookup-window-without-skew", "rule 11", "core/work",
        "The window of time that a listing is asked for trusts that our clock and the PSP's agree.",
        "stripe queryable (no keys): the server's clock is ahead by more than a second and the answer is lost; the \
         intent is not in the list, so absence is “proven”: two effects, or DECLINED with a live authorization";

    // Rule 7
    LastWriterWins, "last-writer-wins", "rule 7", "core/fold",
        "Later evidence of an authorization replaces the first.",
        "any class: a duplicate or late webhook; authorization_id changes between two answers, and duplicates write";
    LateEvidenceDropped, "late-evidence-dropped", "rule 7", "core/work",
        "Evidence that comes after a final status is dropped.",
        "any class, 3-D Secure abandoned, or a late landing beyond max_in_flight_ms: success after EXPIRED or DECLINED \
         stays authorized; a refused capture's release is never seen to end, and is repeated";
    AnothersIntentTaken, "anothers-intent-taken", "rule 7", "core/psp/stripe",
        "A listing's intents count for whoever asked, not for the attempt they name.",
        "stripe queryable: two attempts at about the same time, one answer lost; it takes the other's authorization, \
         or releases it";
    OutcomeOfferedOnce, "outcome-offered-once", "rule 7", "edge-local/server",
        "A PSP's answer that the store cannot take at once is thrown away.",
        "any class: the store is down when the answer comes; on keyed an extra call, on blind parked though it was \
         answered";
    ForgedWebhookTaken, "forged-webhook-taken", "§2 webhooks", "core/psp/webhook",
        "A webhook's signature is looked at, and its verdict is not.",
        "any class: a forged “authorized” or “captured” while the real call has no effect; success without money";

    // Rule 8
    DuplicateNotCompensated, "duplicate-not-compensated", "rule 8", "core/state",
        "A second authorization that evidence shows is left standing.",
        "queryable, not keyed: the network delivers an authorize twice and the answer is lost; the look-up lists two, \
         and both stay live";
    DuplicateNotShown, "duplicate-not-shown", "rule 8", "core/work",
        "A duplicate is undone without a line in the timeline and without being counted.",
        "queryable, not keyed: the network delivers an authorize twice and the answer is lost; the ledger has two, \
         the timeline and the counter unwanted_effects know of none";

    // Rule 9
    ServerErrorIsDecline, "server-error-is-decline", "rule 9", "core/psp",
        "A 5xx with a readable error in it counts as a refusal.",
        "acquirer of any class: 500 after the effect; 402 with a live authorization";
    ServerErrorIsNotSent, "server-error-is-not-sent", "rule 9", "core/psp",
        "A 5xx counts as a call that never left.",
        "queryable or blind: 500 after the effect; it is sent again, two effects";
    RateLimitIsDecline, "rate-limit-is-decline", "rule 9", "core/psp",
        "A 429 counts as a refusal.",
        "any class: 429; DECLINED though the PSP declined nothing. keyed: the answer is lost after the effect, the \
         re-send gets 429; 402 with a live authorization";
    GarbageIsDecline, "garbage-is-decline", "rule 9", "core/psp/acquirer",
        "An acquirer's answer that cannot be read counts as a refusal.",
        "acquirer of any class: garbage after the effect; 402 with a live authorization";
    GarbageIntentIsDecline, "garbage-intent-is-decline", "rule 9", "core/psp/stripe",
        "An answer that is no PaymentIntent counts as a refusal.",
        "stripe of any class: garbage after the effect; 402 with a live authorization";
    TimeoutIsNotSent, "timeout-is-not-sent", "rule 9", "edge-local/psp_client",
        "A time-out counts as a call that never left.",
        "queryable or blind: the PSP hangs after the effect; sent again, two effects";
    BrokenConnectionIsNotSent, "broken-connection-is-not-sent", "rule 9", "edge-local/psp_client",
        "A connection that broke before the answer's head counts as a call that never left.",
        "queryable or blind: the connection is reset after the effect; sent again, two effects";
    CutAnswerIsNotSent, "cut-answer-is-not-sent", "rule 9", "edge-local/psp_client",
        "An answer that breaks off in its body counts as a call that never left.",
        "queryable or blind: the connection is closed mid-body after the effect; sent again, two effects";
    StaleConnectionRetried, "stale-connection-retried", "rule 9", "edge-local/psp_client",
        "A request that broke on a connection used before is sent again, as if the PSP could not have read it.",
        "queryable or blind: a second payment goes out on a kept connection, which is reset after the effect; two \
         effects of one call";

    // Rule 10
    FinalOverwritten, "final-overwritten", "rule 10", "core/status",
        "News of an authorization reopens an attempt that ended without money.",
        "any class: the webhook of the authorization comes after the void, or late 3-D Secure success; VOIDED becomes \
         AUTHORIZED (the invariant of rule 10 sees it first)";
    ExpiryForgetsVoid, "expiry-forgets-void", "rule 10", "core/recovery",
        "An authorization that nobody captures is left to lapse.",
        "any class: the client vanishes after authorize; at capture_before it is still held and AUTHORIZED";
    FinalKeepsAuthorization, "final-keeps-authorization", "rule 10", "core/state",
        "An attempt that ended without money keeps an authorization that it holds.",
        "any class: a capture is declined, or 3-D Secure succeeds after EXPIRED; DECLINED with a live authorization";

    // Rule 11
    ScanOnlyOnce, "scan-only-once", "rule 11", "edge-local/server",
        "The store is scanned for timers at the start and never again.",
        "any class: a timer further than a minute away (expiry, long backoff); or two servers, one dies after its \
         dispatch and does not come back; nobody takes the attempt up";
    ScanStopsAfterOutage, "scan-stops-after-outage", "rule 11", "edge-local/server",
        "A scan for timers that the store did not answer is the last one.",
        "any class: the store is down during a scan, or at the start; far timers and dead neighbours are forgotten";
    OverdueTimersSkipped, "overdue-timers-skipped", "rule 11", "edge-local/server",
        "A scan takes in the timers to come and leaves out those that are overdue.",
        "any class: the only server dies in an unknown and restarts after its timer was due; nobody asks, and it stays \
         in doubt";
    StaleCacheOverSharedStore, "stale-cache-over-shared-store", "rule 11", "edge-local/server",
        "Records are held in memory though others write to the store.",
        "any class, two servers: write at A, then at B, then GET at A; the status goes back";
    CacheKeptAfterUnknown, "cache-kept-after-unknown", "§1 liveness", "edge-local/server",
        "A record held in memory is kept after a swap whose outcome is not known.",
        "any class, exclusive store: a swap times out after it applied; every later swap of the attempt conflicts, \
         503 until a restart";

    // Rule 12
    PrepareSkipped, "prepare-skipped", "rule 12", "core/recovery",
        "An authorization acts at once where it should make the object and journal its id first.",
        "stripe addressable (no keys, no look-up): the answer is lost; there is no id to read, so it is parked";

    // §1
    InDoubtTimesOut, "in-doubt-times-out", "§1 unknown", "core/recovery",
        "An authorization in doubt for too long is declared to have failed.",
        "any class: effect with its answer lost, then no answers for authorize_retry_ms; 402 with a live authorization";
    VoidOverCapture, "void-over-capture", "§1 safety", "core/condition",
        "A void is begun while a capture is under way.",
        "acquirer of any class: a void races a capture in flight or in doubt; CAPTURED, and the money given back";
    CaptureUnbounded, "capture-unbounded", "§1 safety", "core/condition",
        "A capture of more than is authorized goes to the PSP.",
        "any class: a capture of more than the amount; no 400 (an invariant sees it first)";
    RetryCapturesAll, "retry-captures-all", "§1 safety", "core/work",
        "A part capture that is tried again takes the whole amount.",
        "queryable: a part capture is lost on its way, which is proven; the second try takes everything";

    // §2
    KeyReuseReplayed, "key-reuse-replayed", "§2 keys", "core/ticket",
        "The same key with another body is answered as a replay.",
        "any class: a key used again with another body; a success for what was never done";
    FingerprintIgnoresAmount, "fingerprint-ignores-amount", "§2 same body", "core/json",
        "The fingerprint leaves out the amount.",
        "any class: a create or part capture is retried under its key with another amount; a replay instead of 409";
    MerchantsShareKeys, "merchants-share-keys", "§2 keys", "core/id",
        "The attempt's id is made from the key alone, without the merchant.",
        "any class: two merchants use one key; the second is told 404";
    KeyExpires, "key-expires", "§2 keys", "core/ticket",
        "A key is forgotten a day after its attempt was created.",
        "any class: a retry after more than 24 h; 409 INVALID_STATE instead of the replay";
    TwinRefused, "twin-refused", "§2 parallel duplicates", "core/ticket",
        "A duplicate that comes while its twin is in flight is refused as another request.",
        "any class: the same key twice while the PSP takes its time; 409 instead of 200 or 202";
    ReplayFromCurrentState, "replay-from-current-state", "§2 replays", "core/ticket",
        "A replay shows the attempt as it is now, not as it was when the key was settled.",
        "any class: a create or authorize is retried after the capture; another body than the first time";
    SettledTooEarly, "settled-too-early", "§2 replays", "core/fold",
        "An authorize is settled by REQUIRES_ACTION, so that its answer then is kept for replay.",
        "any class, 3-D Secure: authorize is retried after the customer finished; never the news";
    SecondKeyCapturesAgain, "second-key-captures-again", "§2 different key", "core/condition",
        "A capture under another key is begun while one is under way.",
        "acquirer of any class that captures twice: a capture under a second key while the first is in flight or in \
         doubt; two captures";
    SafeNewKeyInDoubt, "safe-new-key-in-doubt", "§2 errors", "core/answer",
        "A refusal says that a new key is safe while the outcome is still open.",
        "any class: another key during an operation; safe_new_key is true, and the money moves after all";
    ResolveBeforeParked, "resolve-before-parked", "§2 resolve", "core/condition",
        "An operator may end an operation that is not parked.",
        "any class: did_not_happen while the call is in flight; DECLINED, and then the effect";
    WaitsPastBudget, "waits-past-budget", "§2 time budget", "edge-local/server",
        "An answer is waited for beyond the time budget.",
        "any class: the PSP takes 800 ms; the answer takes as long instead of 150 ms";

    // §3
    TimelineHidesUnknown, "timeline-hides-unknown", "§3 journal", "core/timeline",
        "Lost answers are left out of the timeline.",
        "any class: an answer is lost; the timeline's seq has a gap, and its chain of hashes cannot be followed";
}
