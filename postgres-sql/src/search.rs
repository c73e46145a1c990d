//! What a search goes by, and making it where it is missing.

/// The page of one merchant's attempts of an order. They are sorted by id, which never changes.
pub const OF_ORDER: &str = "
SELECT id, since_ms, bytes FROM pay_once.records
WHERE order_id = $1 AND merchant = $2 AND id > $3 AND ($4::text IS NULL OR state = $4) AND since_ms <= $5
ORDER BY id LIMIT $6
";
/// The page of one merchant's attempts in a state, oldest first.
pub const IN_STATE: &str = "
SELECT id, since_ms, bytes FROM pay_once.records
WHERE state = $1 AND merchant = $2 AND (since_ms, id) > ($3, $4) AND since_ms <= $5
ORDER BY since_ms, id LIMIT $6
";
/// The next merchant with attempts of an order.
pub const NEXT_MERCHANT_OF_ORDER: &str = "
SELECT merchant FROM pay_once.records WHERE order_id = $1 AND merchant > $2 ORDER BY merchant LIMIT 1
";
/// The next merchant with attempts in a state.
pub const NEXT_MERCHANT_IN_STATE: &str = "
SELECT merchant FROM pay_once.records WHERE state = $1 AND merchant > $2 ORDER BY merchant LIMIT 1
";
/// Records whose columns are of another version than they are: a build without a search has written them.
pub const MISSING: &str = "
SELECT id, version, bytes, merchant, order_id, state, since_ms FROM pay_once.records
WHERE indexed_version IS DISTINCT FROM version AND id > $1 ORDER BY id LIMIT $2
";
/// Makes the columns of one record. A record that was written meanwhile is left as it is.
pub const INDEX_ONE: &str = "
UPDATE pay_once.records
SET merchant = $3, order_id = $4, state = $5, since_ms = $6, indexed_version = $2
WHERE id = $1 AND version = $2
RETURNING id";
