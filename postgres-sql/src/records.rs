//! Loads, swaps and what is due.

/// The records of many ids.
pub const LOAD: &str = "SELECT id, bytes FROM pay_once.records WHERE id = ANY($1)";
/// The record of one id.
pub const LOAD_ONE: &str = "SELECT bytes FROM pay_once.records WHERE id = $1";

/// Many swaps in one statement, which is one transaction and one sync of the log. `expected` is null where no record may be there.
/// The ids that it returns were swapped.
pub const SWAP: &str = "
WITH asked AS (
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::bigint[])
        AS asked (id, expected, version, wake_at_ms, bytes, merchant, order_id, state, since_ms)
), inserted AS (
    INSERT INTO pay_once.records (id, version, wake_at_ms, bytes, merchant, order_id, state, since_ms, indexed_version)
    SELECT id, version, wake_at_ms, bytes, merchant, order_id, state, since_ms, version FROM asked WHERE expected IS NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), updated AS (
    UPDATE pay_once.records AS record
    SET version = asked.version, wake_at_ms = asked.wake_at_ms, bytes = asked.bytes, taken_until_ms = 0,
        merchant = asked.merchant, order_id = asked.order_id, state = asked.state, since_ms = asked.since_ms,
        indexed_version = asked.version
    FROM asked
    WHERE asked.expected IS NOT NULL AND record.id = asked.id AND record.version = asked.expected
    RETURNING record.id
)
SELECT id FROM inserted UNION ALL SELECT id FROM updated";

/// The first write of one record. A row is returned if it was applied.
pub const INSERT_ONE: &str = "
INSERT INTO pay_once.records (id, version, wake_at_ms, bytes, merchant, order_id, state, since_ms, indexed_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $2)
ON CONFLICT (id) DO NOTHING
RETURNING version";

/// Any other write of one record. The parameters are those of [`INSERT_ONE`], and then the version that is expected. A row is returned if
/// it was applied.
pub const UPDATE_ONE: &str = "
UPDATE pay_once.records
SET version = $2, wake_at_ms = $3, bytes = $4, taken_until_ms = 0,
    merchant = $5, order_id = $6, state = $7, since_ms = $8, indexed_version = $2
WHERE id = $1 AND version = $9
RETURNING version";

/// Takes what is due and is not taken by another server, soonest first.
pub const DUE: &str = "
WITH due AS MATERIALIZED (
    SELECT id FROM pay_once.records
    WHERE wake_at_ms <= $1 AND taken_until_ms < $2
    ORDER BY wake_at_ms LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE pay_once.records AS record SET taken_until_ms = $3
FROM due WHERE record.id = due.id
RETURNING record.id, record.wake_at_ms";

/// Moves the time at which one record wants to be woken, if it is still the same, and gives up what [`DUE`] took.
pub const MOVE_ONE: &str = "
UPDATE pay_once.records SET wake_at_ms = $3, taken_until_ms = 0 WHERE id = $1 AND wake_at_ms = $2
RETURNING id";

/// The channel of `LISTEN` and `NOTIFY`.
pub const CHANNEL: &str = "pay_once_changed";
/// Tells all servers which records have changed. The setting is the transaction's: each `NOTIFY` is a commit, and nothing waits for this
/// one to be durable.
pub const NOTIFY: &str = "
SELECT pg_notify('pay_once_changed', $1)::text
FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS unsynced";

/// Writes down that everything acknowledged before this time is in the database. A copy of the database says by it what it has. The last
/// writer wins: a time that is too early is safe, and one of a clock that was ahead does not stay.
pub const ALIVE: &str = "
INSERT INTO pay_once.meta (name, value) VALUES ('alive_at_ms', $1::bigint::text)
ON CONFLICT (name) DO UPDATE SET value = excluded.value";
