-- What the order processor asks of the database, for `orderops migrate rehearsal` to ask on a copy while it changes.
--
-- A query begins with a name; where it has $1, $2 …, a query beside it draws values that are there:
--
--   -- canary: the name, as reports say it
--   -- values: SELECT id FROM orders LIMIT 500
--   -- rate: 20                                  calls a second; else as often as the live database is asked
--
-- They run for real: what a query inserts stays in the copy until that goes.

-- canary: the newest users
SELECT id, name, email, created_at FROM users ORDER BY id DESC LIMIT 50;

-- canary: an order by its id
-- values: SELECT id FROM orders LIMIT 500
SELECT id, user_id, status, currency, total_cents, placed_at, created_at, updated_at FROM orders WHERE id = $1;

-- canary: the items of an order
-- values: SELECT id FROM orders LIMIT 500
SELECT line, sku, quantity, unit_price_cents FROM order_items WHERE order_id = $1 ORDER BY line;

-- canary: the newest orders
SELECT id, user_id, currency, total_cents, placed_at, created_at FROM orders ORDER BY placed_at DESC, id DESC LIMIT 51;

-- canary: the newest orders that wait or failed
SELECT id, status, reason, placed_at FROM accepted_orders ORDER BY placed_at DESC, id DESC LIMIT 51;

-- canary: an order comes in
-- values: SELECT id FROM users LIMIT 500
WITH accepted AS (
    SELECT gen_random_uuid() AS id
), key AS (
    INSERT INTO idempotency_keys (key, order_id, request_sha256)
    SELECT 'rehearsal ' || id, id, sha256(id::text::bytea) FROM accepted
), placed AS (
    INSERT INTO orders (id, user_id, currency, total_cents, placed_at)
    SELECT id, $1, 'EUR', 1200, now() FROM accepted
)
INSERT INTO order_items (order_id, line, sku, quantity, unit_price_cents)
SELECT id, 1, 'rehearsal', 1, 1200 FROM accepted;
