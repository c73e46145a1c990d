//! The table of planted bugs: variant, name, what it breaks, room, the mistake, and how it shows.

bugs! {
    // Rule 1
    SendByNotChecked, "send-by-not-checked", "rule 1", "server/server",
        "The time to send by is not checked again right before sending.",
        "queryable, two servers: the owner pauses between commit and send until another has proven absence and sent \
         the next number; two effects. Any class: a request that reaches the PSP after its send_by";
    SendByCheckedBeforeConnect, "send-by-checked-before-connect", "rule 1", "server/psp_client",
        "The time to send by is checked before the connection is made, not right before the first byte.",
        "any class: connecting takes longer than send_window_ms (SYN held); a request after its send_by, and with \
         short constants two effects on queryable";
    CallBeforeCommit, "call-before-commit", "rule 1", "core/host/turn",
        "The PSP is called before the dispatch is durable.",
        "queryable or blind, two servers: the same request at both, one swap conflicts, both call; or a crash, or an \
         unknown swap that was lost, after the call: nothing in the journal tells of it";
    SendByCheckedAtStart, "send-by-checked-at-start", "rule 1", "server/server",
        "The time to send by is checked when a call begins, not right before its first byte.",
        "any class: the process pauses between the commit and the send; a request after its send_by, and with short \
         constants two effects on queryable";
    ServerErrorRetried, "server-error-retried", "rule 1", "server/psp_client",
        "A call that a 5xx answers is sent once more by the client for HTTP.",
        "queryable or blind: 500 after the effect; two effects of one call";

    // Rule 2
    ReplyBeforeDurable, "reply-before-durable", "rule 2", "core/host/turn",
        "An answer that is ready goes out while its write is still under way.",
        "any class: a create or webhook whose swap is lost, or a crash within it; 201 and then 404";
    UnknownSwapIsApplied, "unknown-swap-is-applied", "rule 2", "core/host/turn",
        "A swap of unknown outcome counts as applied.",
        "any class: a create whose swap times out unapplied; 201 and then 404. queryable: the same at an authorize; \
         called without a journal, and called again on the retry";
    UnknownSwapIsLost, "unknown-swap-is-lost", "promise: liveness", "core/host/turn",
        "A swap of unknown outcome counts as lost, without reading back.",
        "any class: a dispatch whose swap times out after it applied; nobody calls until the lease is over (extra \
         writes, 32 s of 202), and on blind the attempt is parked though nothing was ever sent; a create answers 200";
    ConflictIsApplied, "conflict-is-applied", "rule 2", "core/host/turn",
        "A swap that found another version counts as applied.",
        "queryable or blind, two servers: the same request at both at once; two calls, two effects";
    WebhookAckedInOutage, "webhook-acked-in-outage", "rule 2", "core/machine/unserved",
        "A webhook that could not be stored is acknowledged.",
        "blind: the answer is lost after the effect and the store is down when the webhook comes; it is not sent \
         again, and the attempt stays parked";
    WebhookAckedFirst, "webhook-acked-first", "rule 2", "core/host/turn",
        "A webhook is answered while its write is still under way.",
        "any class: the swap of a webhook is lost, or the server dies within it; the PSP does not send it again, \
         and on blind the attempt stays parked";
    OutageSaysNothingDone, "outage-says-nothing-done", "rule 2", "core/host/turn",
        "An outage of the store is told as a request that did nothing.",
        "any class: a swap times out after it applied; 503 STORE_UNSAFE that says “did nothing” and not to retry, \
         and the money moves";
    UnreadableStoreIsEmpty, "unreadable-store-is-empty", "rule 2", "server/server",
        "A record that the store does not give out counts as one that is not there.",
        "any class: the store is down for a while; 404 for an attempt that is there, 200 for a webhook that is \
         lost, and answers of the PSP are dropped";

    // Rule 3
    FreshEffectAfterUnknown, "fresh-effect-after-unknown", "rule 3", "core/recovery/plan",
        "An unknown is re-sent under the next effect number.",
        "keyed: the answer is lost after the effect; two effects (the invariant of rule 3 sees it first)";
    KeyPerCall, "key-per-call", "rule 3", "core/machine/dispatch",
        "The PSP key is made from the call's id instead of the effect number.",
        "keyed: the answer is lost after the effect; the re-send has a new key and a second effect";
    NumberStaysAfterProof, "number-stays-after-proof", "rule 3", "core/recovery/plan",
        "After proof of non-effect the next try goes out under the old key.",
        "stripe, keyed and queryable: a 500 without effect that is kept under the key, at a capture, or at an \
         authorize with a long authorize_retry_ms; the 500 is replayed for ever and the capture is parked";
    EffectsInARow, "effects-in-a-row", "promise: liveness", "core/recovery/due",
        "What is proven not to have happened is tried anew at once, each time.",
        "addressable, listed or queryable: the PSP is read-only for a while; a capture's effect numbers are used up in it, \
         and it is parked";
    CaptureWithoutKey, "capture-without-key", "rule 3", "core/psp/acquirer",
        "A capture at an acquirer carries no Idempotency-Key.",
        "acquirer keyed: a capture's answer is lost after the effect; the re-send captures again";
    RejectedGetsNewNumber, "rejected-gets-new-number", "rule 3", "core/machine/dispatch",
        "What the PSP rejected is asked for again under a new number, though the PSP still knows the old key.",
        "keyed: the network delivers an authorize or capture twice, the first has its effect and the second answer \
         is 401; the client's retry has a second effect";
    OldAnswerIsCurrent, "old-answer-is-current", "rule 3", "core/journal/running",
        "An answer to a call of an earlier number counts for the number that is under way.",
        "queryable: the first number is proven absent and the second is under way when the first call's refusal \
         comes at last; DECLINED with a live authorization";

    // Rule 4, and its last resort
    LeaseExpiryResends, "lease-expiry-resends", "rule 4", "core/recovery/plan",
        "A call whose owner fell silent is sent again, key or no key.",
        "queryable or blind: a server dies after the call has left and before its answer is stored; two effects";
    BlindResends, "blind-resends", "psp: blind", "core/recovery/plan",
        "An unknown at a blind PSP is tried once more before it is parked.",
        "blind: the answer is lost after the effect; two effects";

    // Rule 5
    HorizonIgnored, "horizon-ignored", "rule 5", "core/recovery/due",
        "A PSP key is re-sent however old it is.",
        "keyed only, short horizon: effect with its answer lost, then no answers until the key is forgotten; two effects";
    HorizonWithoutFlight, "horizon-without-flight", "rule 5", "core/recovery/due",
        "The horizon is taken to its last moment, without flight time and clock skew.",
        "keyed only, short horizon: effect with its answer lost; a re-send shortly before the horizon is held in flight \
         past it, or leaves by a clock that is behind; two effects";
    HorizonFromLastSend, "horizon-from-last-send", "rule 5", "core/journal/running",
        "The horizon is counted from the last sending of the key instead of the first.",
        "keyed only, short horizon: effect with its answer lost, and re-sends that go unanswered until past the \
         horizon; the next has a second effect";

    // Rule 6
    AbsenceAtOnce, "absence-at-once", "rule 6", "core/machine/look",
        "“Not found” counts as soon as it is said.",
        "queryable: the answer is lost and the look-up lags behind the effect, or the request lands late; two effects";
    AbsenceWithoutLookupLag, "absence-without-lookup-lag", "rule 6", "core/recovery/due",
        "“Not found” counts before the PSP's look-up has caught up.",
        "queryable with a lag of the order of max_in_flight_ms: late landing without answer, found only after the lag; \
         two effects, or DECLINED with a live authorization";
    AbsenceWithoutSkew, "absence-without-skew", "rule 6", "core/recovery/due",
        "“Not found” counts without regard to clock skew.",
        "queryable, two servers: the sender's clock behind, the asker's ahead, the request lands at the last allowed \
         moment; asked too early by less than the skew";
    AbsenceFromFirstSend, "absence-from-first-send", "rule 6", "core/recovery/due",
        "“Not found” counts from the first sending instead of the last.",
        "keyed and queryable: the first sending is lost, re-sends time out one by one, the last lands late; after \
         “not found” the next number goes out as well, or DECLINED with a live authorization";
    UnfinishedActionIsAbsence, "unfinished-action-is-absence", "rule 6", "core/psp/acquirer",
        "A listing with an unfinished 3-D Secure and nothing else reads as “nothing there”.",
        "queryable, 3-D Secure: the answer that asks for it is lost; DECLINED (or a second number) while the \
         customer can still finish, who then has an authorization";
    LookupWindowWithoutSkew, "lookup-window-without-skew", "rule 11", "core/machine/dispatch",
        "The window of time that a listing is asked for trusts that our clock and the PSP's agree.",
        "stripe queryable (no keys): the server's clock is ahead by more than a second and the answer is lost; the \
         intent is not in the list, so absence is “proven”: two effects, or DECLINED with a live authorization";
    FailedLookIsAbsence, "failed-look-is-absence", "rule 6", "core/machine/look",
        "A look-up that failed counts as one that found nothing.",
        "queryable, or stripe by its list: the answer is lost after the effect and look-ups are answered 500, 401 \
         or not at all; two effects, or DECLINED with a live authorization";
    FirstPageIsAll, "first-page-is-all", "rule 6", "core/machine/look",
        "The first page of a look-up counts as all of it.",
        "stripe by its list (no keys), several objects on more than one page: the answer is lost after the effect; \
         two effects, or DECLINED with a live authorization";
    StuckCursorIsEnd, "stuck-cursor-is-end", "rule 6", "core/machine/look",
        "A page whose cursor leads back to it counts as the last one.",
        "stripe by its list (no keys): the list repeats its first page and the answer is lost after the effect; two \
         effects";
    PageAskedWhenAnswered, "page-asked-when-answered", "rule 6", "core/machine/look",
        "A look-up counts as asked when its last page was answered.",
        "queryable: the answer is lost, the look-up is asked before absence counts and answered after, and the \
         request lands in between; two effects";
    OpenActionIsComplete, "open-action-is-complete", "rule 6", "core/psp/stripe_objects",
        "A read that shows a 3-D Secure which is still open counts as complete.",
        "stripe, 3-D Secure: the release at the end of its time is lost or rejected, and the customer finishes \
         after the look; EXPIRED with the money taken or held";
    MissingObjectIsAbsence, "missing-object-is-absence", "rule 6", "core/psp/stripe_errors",
        "A 404 for an object whose id is in the journal counts as a look that found nothing.",
        "stripe addressable, 3-D Secure: the release at the end of its time is lost or rejected, and the read after it is \
         answered 404; EXPIRED with the money taken or held";
    LookupWindowToNow, "lookup-window-to-now", "rule 6", "core/machine/dispatch",
        "The window of time of a look-up reaches back from now, not from the requests that make the object.",
        "stripe by its list: the answer is lost after the effect and looks fail until absence counts; the intent is \
         older than the window, so two effects, or DECLINED with a live authorization";
    NoResendAfterFailedLook, "no-resend-after-failed-look", "promise: liveness", "core/recovery/plan",
        "While looks fail, the key is not sent again, though it could tell.",
        "keyed with look-ups: the answer is lost, the first re-sends time out, and look-ups fail for good; in doubt \
         for a day, then parked";
    OneFailedLookParks, "one-failed-look-parks", "promise: liveness", "core/recovery/plan",
        "The first look that fails gives the operation to an operator.",
        "queryable or addressable: the answer is lost and one look-up fails; parked, though the next look would \
         tell";
    TooLargeIsUnknown, "too-large-is-unknown", "promise: liveness", "server/psp_client",
        "An answer that is too large counts as a lost one.",
        "stripe by its list: a page of the list is larger than what is read; no smaller page is asked for, and the \
         attempt stays in doubt";
    RecoveryQuestionsShed, "recovery-questions-shed", "promise: liveness", "core/psp/questions",
        "The pause between questions holds for recovery's own as well.",
        "stripe by its list: a list of several pages; the second page is left out each time, and the attempt stays \
         in doubt";

    // Rule 7
    LastWriterWins, "last-writer-wins", "rule 7", "core/journal/observe",
        "Later evidence of an authorization replaces the first.",
        "any class: a duplicate or late webhook; authorization_id changes between two answers, and duplicates write";
    LateEvidenceDropped, "late-evidence-dropped", "rule 7", "core/machine/builder",
        "Evidence that comes after a final status is dropped.",
        "any class, 3-D Secure abandoned, or a late landing beyond max_in_flight_ms: success after EXPIRED or DECLINED \
         stays authorized; a refused capture's release is never seen to end, and is repeated";
    AnothersIntentTaken, "anothers-intent-taken", "rule 7", "core/psp/stripe",
        "A listing's intents count for whoever asked, not for the attempt they name.",
        "stripe queryable: two attempts at about the same time, one answer lost; it takes the other's authorization, \
         or releases it";
    OutcomeOfferedOnce, "outcome-offered-once", "rule 7", "core/host/turn",
        "A PSP's answer that the store cannot take at once is thrown away.",
        "any class: the store is down when the answer comes; on keyed an extra call, on blind parked though it was \
         answered";
    ForgedWebhookTaken, "forged-webhook-taken", "http: webhooks", "core/psp/webhook",
        "A webhook's signature is looked at, and its verdict is not.",
        "any class: a forged “authorized” or “captured” while the real call has no effect; success without money";
    FailedEventReadAcknowledged, "failed-event-read-acknowledged", "http: webhooks", "core/machine/event",
        "An event whose object could not be read is acknowledged.",
        "stripe of any class: a thin event, or one of a refund or dispute, while the PSP does not answer its read; \
         the event is not sent again, and the reversal never shows";
    OnlyFirstWebhookSecret, "only-first-webhook-secret", "http: webhooks", "core/psp/webhook",
        "Of several webhook secrets only the first is tried.",
        "any class with two secrets: a webhook that is signed with the second; 400, and its news is lost";
    WebhookOfAnotherPsp, "webhook-of-another-psp", "http: webhooks", "core/machine/handle",
        "A webhook of one PSP counts for an attempt at another.",
        "two PSPs: a “captured” of one names an attempt of the other; CAPTURED without money";
    WebhookAmountsAsIso, "webhook-amounts-as-iso", "promise: safety", "core/machine/handle",
        "The amounts of a webhook are read in ISO 4217's minor units, whatever the PSP counts in.",
        "stripe of any class, ISK, UGX or MGA: the webhook comes before the answer; DECLINED as an amount mismatch, \
         or a captured amount that is wrong by a hundred";
    ListedAmountsAsIso, "listed-amounts-as-iso", "promise: safety", "core/machine/handle",
        "The amounts of a look-up are read in ISO 4217's minor units, whatever the PSP counts in.",
        "stripe by its list, ISK, UGX or MGA: the answer is lost and looked up; DECLINED as an amount mismatch, and \
         released";
    SecondChallengeIgnored, "second-challenge-ignored", "rule 7", "core/journal/observe",
        "The challenge that was heard of first stays, though the answer to our own call names another.",
        "any class without keys, 3-D Secure: a webhook names another challenge before the answer comes; the \
         customer is sent to the wrong page";
    OutcomeDroppedOnConflict, "outcome-dropped-on-conflict", "rule 7", "core/host/turn",
        "A PSP's answer whose swap finds another version is thrown away.",
        "blind, two servers, or a webhook at the same moment: the answer meets another write; parked though it was \
         answered";
    PartialApprovalTaken, "partial-approval-taken", "promise: safety", "core/journal/observe",
        "An authorization of another amount or currency counts as the one that was asked for.",
        "any class: a partial approval; AUTHORIZED in full, and the capture of the whole fails or takes less";

    // Rule 8
    DuplicateNotCompensated, "duplicate-not-compensated", "rule 8", "core/journal/compensation",
        "A second authorization that evidence shows is left standing.",
        "queryable, not keyed: the network delivers an authorize twice and the answer is lost; the look-up lists two, \
         and both stay live";
    DuplicateNotShown, "duplicate-not-shown", "rule 8", "core/machine/builder",
        "A duplicate is undone without a line in the timeline and without being counted.",
        "queryable, not keyed: the network delivers an authorize twice and the answer is lost; the ledger has two, \
         the timeline and the counter unwanted_effects know of none";
    WrongDuplicateUndone, "wrong-duplicate-undone", "rule 8", "core/journal/compensation",
        "Of two effects the first by name is kept, not the one that clients were shown.",
        "queryable, not keyed: a duplicate shows after AUTHORIZED; the authorization that was shown is released, \
         and its capture fails";
    AnothersReleaseIsOurs, "anothers-release-is-ours", "rule 8", "core/journal/observe",
        "The release of a duplicate counts as the release of the attempt's own authorization.",
        "queryable, not keyed: a duplicate is released and the look-up lists that; VOIDED with a live authorization";
    VoidedCaptureIsNotUndone, "voided-capture-is-not-undone", "rule 8", "core/journal/evidence",
        "A capture that the look-up shows as voided does not count as given back.",
        "acquirer queryable: a second capture is undone and the answer is lost; it is undone over and over, and \
         parked";
    PendingRefundIsDone, "pending-refund-is-done", "rule 8", "core/psp/stripe_objects",
        "A refund that is pending counts as done.",
        "stripe of any class: a second capture is refunded, the refund is pending and fails; the money stays taken \
         twice";
    FailedRefundStaysDone, "failed-refund-stays-done", "rule 8", "core/journal/evidence",
        "A refund that fails after it had gone through still counts.",
        "stripe of any class: a second capture is refunded, and the refund fails a day later; the money stays taken \
         twice";
    PartRefundIsAll, "part-refund-is-all", "rule 8", "core/journal/evidence",
        "A part of a capture that was given back counts as all of it.",
        "any class: a part of a second capture is refunded by hand, or the PSP refunds a part; the rest stays taken \
         twice";

    // Rule 9
    ServerErrorIsDecline, "server-error-is-decline", "rule 9", "core/psp/mod",
        "A 5xx with a readable error in it counts as a refusal.",
        "acquirer of any class: 500 after the effect; 402 with a live authorization";
    ServerErrorIsNotSent, "server-error-is-not-sent", "rule 9", "core/psp/mod",
        "A 5xx counts as a call that never left.",
        "queryable or blind: 500 after the effect; it is sent again, two effects";
    RateLimitIsDecline, "rate-limit-is-decline", "rule 9", "core/psp/mod",
        "A 429 counts as a refusal.",
        "any class: 429; DECLINED though the PSP declined nothing. keyed: the answer is lost after the effect, the \
         re-send gets 429; 402 with a live authorization";
    GarbageIsDecline, "garbage-is-decline", "rule 9", "core/psp/acquirer",
        "An acquirer's answer that cannot be read counts as a refusal.",
        "acquirer of any class: garbage after the effect; 402 with a live authorization";
    GarbageIntentIsDecline, "garbage-intent-is-decline", "rule 9", "core/psp/stripe",
        "An answer that is no PaymentIntent counts as a refusal.",
        "stripe of any class: garbage after the effect; 402 with a live authorization";
    TimeoutIsNotSent, "timeout-is-not-sent", "rule 9", "server/psp_client",
        "A time-out counts as a call that never left.",
        "queryable or blind: the PSP hangs after the effect; sent again, two effects";
    BrokenConnectionIsNotSent, "broken-connection-is-not-sent", "rule 9", "server/psp_client",
        "A connection that broke before the answer's head counts as a call that never left.",
        "queryable or blind: the connection is reset after the effect; sent again, two effects";
    CutAnswerIsNotSent, "cut-answer-is-not-sent", "rule 9", "server/psp_client",
        "An answer that breaks off in its body counts as a call that never left.",
        "queryable or blind: the connection is closed mid-body after the effect; sent again, two effects";
    StaleConnectionRetried, "stale-connection-retried", "rule 9", "server/psp_client",
        "A request that broke on a connection used before is sent again, as if the PSP could not have read it.",
        "queryable or blind: a second payment goes out on a kept connection, which is reset after the effect; two \
         effects of one call";
    RefusalEndsVoid, "refusal-ends-void", "rule 9", "core/journal/observe",
        "A release that the PSP rejects counts as one of nothing, so that a 3-D Secure whose time is over ends.",
        "any class, 3-D Secure: the customer finishes at the last moment and the release is answered 401, 403 or \
         400; EXPIRED with the money taken or held";
    RefusedResendDeclines, "refused-resend-declines", "rule 9", "core/machine/handle",
        "A refused form counts though another sending under that key may have left.",
        "keyed: the answer is lost after the effect and the re-send is answered 400 with the name of a member; \
         DECLINED with a live authorization";
    RejectionWithdrawsUnknown, "rejection-withdraws-unknown", "rule 9", "core/recovery/plan",
        "A rejection takes an operation back though another sending under that key may have left.",
        "keyed: the answer is lost after the effect and the re-send is answered 401; 502 “nothing was done”, and \
         CREATED with a live authorization";
    CaptureFormEndsAttempt, "capture-form-ends-attempt", "rule 9", "core/journal/observe",
        "The refused form of a client's capture ends the attempt.",
        "any class: a capture below the PSP's minimum; DECLINED and released, where another amount could be \
         captured";
    AlreadyCapturedIsDecline, "already-captured-is-decline", "rule 9", "core/psp/acquirer",
        "An acquirer's “already captured” counts as a decline of the capture.",
        "acquirer not keyed: the network delivers a capture twice and the second answer comes; 402 with the money \
         taken";
    WithdrawnKeyStaysRejected, "withdrawn-key-stays-rejected", "promise: liveness", "core/machine/ticket",
        "A key under which the PSP rejected something is told so for ever.",
        "any class: a 401 to an authorize, and the key is put right; every retry is told 502";
    RejectedWithoutPause, "rejected-without-pause", "promise: liveness", "core/recovery/due",
        "What the PSP rejected is sent again at once, each time.",
        "any class: voids are answered 401 for a while; all tries are spent in it, and the void is parked";
    ShouldRetryIgnored, "should-retry-ignored", "rule 9", "core/psp/mod",
        "A refusal that the PSP says is worth another try ends the operation.",
        "any class: a 400 that names the amount, with Stripe-Should-Retry: true; declined, though nothing was refused";

    // Rule 10
    FinalOverwritten, "final-overwritten", "rule 10", "core/journal/status",
        "News of an authorization reopens an attempt that ended without money.",
        "any class: the webhook of the authorization comes after the void, or late 3-D Secure success; VOIDED becomes \
         AUTHORIZED (the invariant of rule 10 sees it first)";
    ExpiryForgetsVoid, "expiry-forgets-void", "rule 10", "core/recovery/plan",
        "An authorization that nobody captures is left to lapse.",
        "any class: the client vanishes after authorize; at capture_before it is still held and AUTHORIZED";
    FinalKeepsAuthorization, "final-keeps-authorization", "rule 10", "core/journal/compensation",
        "An attempt that ended without money keeps an authorization that it holds.",
        "any class: a capture is declined, or 3-D Secure succeeds after EXPIRED; DECLINED with a live authorization";
    ExpiryWithoutLastLook, "expiry-without-last-look", "rule 10", "core/recovery/plan",
        "A 3-D Secure whose time is over is given up without the last look.",
        "addressable or listed, 3-D Secure, no webhooks: the customer finishes shortly before the end; released, \
         and EXPIRED";
    ExpiryFromSeen, "expiry-from-seen", "rule 10", "core/recovery/due",
        "The life of an authorization is counted from when it was seen instead of when it was asked for.",
        "any class, short life: the answer is lost, and the authorization is seen late; it lapses before it is to \
         be released";

    // Rule 11
    ScanOnlyOnce, "scan-only-once", "rule 11", "server/server",
        "The store is scanned for timers at the start and never again.",
        "any class: a timer further than a minute away (expiry, long backoff); or two servers, one dies after its \
         dispatch and does not come back; nobody takes the attempt up";
    ScanStopsAfterOutage, "scan-stops-after-outage", "rule 11", "server/server",
        "A scan for timers that the store did not answer is the last one.",
        "any class: the store is down during a scan, or at the start; far timers and dead neighbours are forgotten";
    OverdueTimersSkipped, "overdue-timers-skipped", "rule 11", "server/server",
        "A scan takes in the timers to come and leaves out those that are overdue.",
        "any class: the only server dies in an unknown and restarts after its timer was due; nobody asks, and it stays \
         in doubt";
    StaleCacheOverSharedStore, "stale-cache-over-shared-store", "rule 11", "server/server",
        "Records are held in memory though others write to the store.",
        "any class, two servers: write at A, then at B, then GET at A; the status goes back";
    CacheKeptAfterUnknown, "cache-kept-after-unknown", "promise: liveness", "server/server",
        "A record held in memory is kept after a swap whose outcome is not known.",
        "any class, exclusive store: a swap times out after it applied; every later swap of the attempt conflicts, \
         503 until a restart";
    PollsPushTimers, "polls-push-timers", "rule 11", "core/host/turn",
        "A request that changes nothing moves the timer of its attempt back.",
        "queryable or addressable: the answer is lost and a client asks again every second; the look is put off \
         each time, and the attempt stays in doubt";
    FiredTimerKept, "fired-timer-kept", "rule 11", "server/timers",
        "A timer that has fired still counts as one that is to come.",
        "any class: the store is down when a timer fires; neither the next try nor a scan sets it again, and the \
         attempt stays in doubt";
    WakeNotStored, "wake-not-stored", "rule 11", "core/host/store",
        "The time of the next wake-up is not stored beside the record.",
        "any class: the only server dies in an unknown, or a timer is further than a minute away; no scan finds it, \
         and the attempt stays in doubt";
    HangUpAbortsStep, "hang-up-aborts-step", "promise: liveness", "server/server",
        "A client that hangs up stops the step that it set going.",
        "blind: the client hangs up while the dispatch is written; it is durable and never sent, and the attempt is \
         parked. queryable: it is sent under the next number, after proof";

    // Rule 12, and rule 15
    PrepareSkipped, "prepare-skipped", "rule 12", "core/recovery/plan",
        "An authorization acts at once where it should make the object and journal its id first.",
        "stripe addressable (no keys, no look-up): the answer is lost; there is no id to read, so it is parked";
    ResendReaddressed, "resend-readdressed", "rule 15", "core/machine/dispatch",
        "What is sent again is addressed to what is known now, not to what it was addressed to first.",
        "stripe keyed: the answer to an authorize is lost, a webhook names the object, and the re-send confirms \
         that instead, under the same key; refused as another request";

    // Rule 13
    ForeignAdopted, "foreign-adopted", "rule 13", "core/recovery/ownership",
        "An object that carries our reference counts as ours, whenever it was made.",
        "queryable or by webhook: another installation's object has the reference of ours; AUTHORIZED or CAPTURED \
         for money that is not ours, CREATED included";
    ForeignUndone, "foreign-undone", "rule 13", "core/recovery/ownership",
        "An object of somebody else's beside our own counts as a duplicate of ours.",
        "queryable or by webhook: another installation's authorization has the reference of ours and was made \
         before; it is released";
    ForeignProvesAbsence, "foreign-proves-absence", "rule 13", "core/machine/look",
        "A list that shows only what is not ours counts as one that shows nothing.",
        "queryable: an older object has our reference and our answer is lost; the next number goes out, though one \
         of the two may be ours";
    DisputedTakenAsOurs, "disputed-taken-as-ours", "rule 13", "core/recovery/ownership",
        "An installation without a name takes an object of another amount for its own.",
        "queryable, no name: another installation's object has our reference and another amount; it is released, \
         and ours is DECLINED";

    // Rule 14
    CaptureUnchecked, "capture-unchecked", "rule 14", "core/journal/compensation",
        "What was captured is not compared with what was asked for.",
        "any class: the PSP captures another amount or currency; CAPTURED, and nobody is told of the difference";
    CapturedByHandIsWhole, "captured-by-hand-is-whole", "rule 14", "core/journal/observe",
        "A capture that we did not ask for is shown as one of the whole amount.",
        "any class: a part is captured by hand at the PSP; the answer shows the whole";
    ReversalLowersCapture, "reversal-lowers-capture", "rule 14", "core/contract/view",
        "What is taken back later is left out of the captured amount.",
        "any class: a dispute after CAPTURED; GET shows another captured amount than the replay, and one that was \
         never asked for";

    // The promise
    InDoubtTimesOut, "in-doubt-times-out", "promise: unknown outcomes", "core/recovery/plan",
        "An authorization in doubt for too long is declared to have failed.",
        "any class: effect with its answer lost, then no answers for authorize_retry_ms; 402 with a live authorization";
    VoidOverCapture, "void-over-capture", "promise: safety", "core/contract/condition",
        "A void is begun while a capture is under way.",
        "acquirer of any class: a void races a capture in flight or in doubt; CAPTURED, and the money given back";
    CaptureUnbounded, "capture-unbounded", "promise: safety", "core/contract/condition",
        "A capture of more than is authorized goes to the PSP.",
        "any class: a capture of more than the amount; no 400 (an invariant sees it first)";
    RetryCapturesAll, "retry-captures-all", "promise: safety", "core/machine/dispatch",
        "A part capture that is tried again takes the whole amount.",
        "queryable: a part capture is lost on its way, which is proven; the second try takes everything";

    // The HTTP contract
    KeyReuseReplayed, "key-reuse-replayed", "http: keys", "core/machine/ticket",
        "The same key with another body is answered as a replay.",
        "any class: a key used again with another body; a success for what was never done";
    FingerprintIgnoresAmount, "fingerprint-ignores-amount", "http: same body", "core/contract/json",
        "The fingerprint leaves out the amount.",
        "any class: a create or part capture is retried under its key with another amount; a replay instead of 409";
    MerchantsShareKeys, "merchants-share-keys", "http: keys", "core/base/id",
        "The attempt's id is made from the key alone, without the merchant.",
        "any class: two merchants use one key; the second is told 404";
    KeyExpires, "key-expires", "http: keys", "core/machine/ticket",
        "A key is forgotten a day after its attempt was created.",
        "any class: a retry after more than 24 h; 409 INVALID_STATE instead of the replay";
    TwinRefused, "twin-refused", "http: parallel duplicates", "core/machine/ticket",
        "A duplicate that comes while its twin is in flight is refused as another request.",
        "any class: the same key twice while the PSP takes its time; 409 instead of 200 or 202";
    ReplayFromCurrentState, "replay-from-current-state", "http: replays", "core/machine/ticket",
        "A replay shows the attempt as it is now, not as it was when the key was finalized.",
        "any class: a create or authorize is retried after the capture; another body than the first time";
    SettledTooEarly, "settled-too-early", "http: replays", "core/journal/fold",
        "An authorize is finalized by REQUIRES_ACTION, so that its answer then is kept for replay.",
        "any class, 3-D Secure: authorize is retried after the customer finished; never the news";
    SecondKeyCapturesAgain, "second-key-captures-again", "http: different key", "core/contract/condition",
        "A capture under another key is begun while one is under way.",
        "acquirer of any class that captures twice: a capture under a second key while the first is in flight or in \
         doubt; two captures";
    SafeNewKeyInDoubt, "safe-new-key-in-doubt", "http: errors", "core/contract/answer",
        "A refusal says that a new key is safe while the outcome is still open.",
        "any class: another key during an operation; safe_new_key is true, and the money moves after all";
    ResolveBeforeParked, "resolve-before-parked", "http: resolve", "core/contract/condition",
        "An operator may end an operation that is not parked.",
        "any class: did_not_happen while the call is in flight; DECLINED, and then the effect";
    ResolvesWhateverIsParked, "resolves-whatever-is-parked", "http: resolve", "core/contract/condition",
        "An operator's word is taken for one about whatever is parked when it comes.",
        "any class: a parked authorize ends by a webhook while its resolve is held up, and the capture is parked \
         meanwhile; CAPTURED, and nothing was captured";
    WaitsPastBudget, "waits-past-budget", "http: time budget", "core/host/turn",
        "An answer is waited for beyond the time budget.",
        "any class: the PSP takes 800 ms; the answer takes as long instead of 150 ms";
    ReadsAcrossMerchants, "reads-across-merchants", "http: merchants", "core/machine/ticket",
        "Whoever knows the id of an attempt may read it.",
        "any class, two merchants: a GET of the other's attempt; 200 instead of 404";
    ResolvesAcrossMerchants, "resolves-across-merchants", "http: merchants", "core/machine/ticket",
        "Any merchant's key may resolve any attempt.",
        "blind, two merchants: the answer is lost, and the other merchant resolves what is parked; 200 instead of \
         404";
    ResolvedCaptureIsWhole, "resolved-capture-is-whole", "http: resolve", "core/contract/condition",
        "A part capture that an operator says to have happened is taken for the whole.",
        "blind: the answer to a part capture is lost and an operator resolves it; the answer shows the whole amount";
    OperatorsWordLost, "operators-word-lost", "http: resolve", "core/contract/condition",
        "An operator's word that an authorization happened is not recorded.",
        "blind: the answer to an authorize is lost and an operator resolves it; 202, and parked as before";
    ReplayNotMarked, "replay-not-marked", "http: replays", "core/machine/ticket",
        "A replay goes out as if it were the first answer.",
        "any class: a key is sent again once it is finalized; no Idempotency-Replayed, and 201 for a create that made \
         nothing";
    FirstAnswerMarked, "first-answer-marked", "http: replays", "core/machine/ticket",
        "The first answer goes out as if it were a replay.",
        "any class: a create; 200 and Idempotency-Replayed where nothing was made before";
    WaitingTicketForgotten, "waiting-ticket-forgotten", "http: replays", "core/host/turn",
        "A request that has waited is handed in again as it came, as another request.",
        "any class: the answer comes within the time budget, or Prefer: wait; the first answer is marked as a \
         replay";
    CopyAnswersOpenAttempt, "copy-answers-open-attempt", "http: replays", "core/machine/ticket",
        "The copy of an attempt that has not ended answers a GET.",
        "an edge that keeps copies (edge-cloudflare): a GET from a copy after a later step; the status goes back";
    CutBodyIsEmpty, "cut-body-is-empty", "http: same body", "server/front",
        "A body that breaks off counts as no body.",
        "any class: the connection breaks within the body of a part capture; the whole amount is captured";

    // The record
    RepetitionIsNews, "repetition-is-news", "store: record", "core/machine/builder",
        "What a webhook says is recorded each time that it comes.",
        "any class: a webhook is delivered twice; the timeline has its line twice";
    TimelineHidesUnknown, "timeline-hides-unknown", "store: record", "core/contract/timeline",
        "Lost answers are left out of the timeline.",
        "any class: an answer is lost; the timeline's seq has a gap, and its chain of hashes cannot be followed";
}
