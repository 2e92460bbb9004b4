-- Accepted orders that are not among the orders: those that wait in the queue, and those that failed, with the reason.

-- A row is written after its message was sent, and only while the database answers: the queue is what counts, this table
-- is for those who ask. The transaction that writes an order deletes its row here.
CREATE TABLE accepted_orders (
    id uuid PRIMARY KEY,
    key text NOT NULL,
    status text NOT NULL DEFAULT 'queued',
    reason text,
    placed_at timestamptz NOT NULL,
    failed_at timestamptz,
    CONSTRAINT accepted_orders_key_is_short CHECK (char_length(key) BETWEEN 1 AND 200),
    CONSTRAINT accepted_orders_status_is_known CHECK (status IN ('queued', 'failed')),
    CONSTRAINT accepted_orders_failed_with_a_reason CHECK (
        (status = 'failed') = (reason IS NOT NULL) AND (status = 'failed') = (failed_at IS NOT NULL)
    )
);

-- The same key may come with another order, which fails then: so it is not unique here, as it is in idempotency_keys.
CREATE INDEX accepted_orders_of_key ON accepted_orders (key);

CREATE INDEX accepted_orders_newest ON accepted_orders (placed_at DESC, id DESC);
