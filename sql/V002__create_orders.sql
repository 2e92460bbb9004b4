-- Orders, their items, and the keys that make a message delivered twice count once.

-- The id is given out when an order is accepted, before it is written here: so it is chosen by the service.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id),
    status text NOT NULL DEFAULT 'received',
    currency text NOT NULL,
    total_cents bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_status_is_known CHECK (status IN ('received', 'confirmed', 'shipped', 'cancelled')),
    CONSTRAINT orders_currency_is_iso_4217 CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT orders_total_is_not_negative CHECK (total_cents >= 0),
    CONSTRAINT orders_updated_after_created CHECK (updated_at >= created_at)
);

CREATE INDEX orders_of_user ON orders (user_id, placed_at DESC);

-- What is still to be done, oldest first; what is done stays out of the index.
CREATE INDEX orders_open ON orders (placed_at) WHERE status IN ('received', 'confirmed');

CREATE TABLE order_items (
    order_id uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line integer NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    unit_price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, line),
    CONSTRAINT order_items_line_counts_from_one CHECK (line >= 1),
    CONSTRAINT order_items_sku_has_text CHECK (sku <> ''),
    CONSTRAINT order_items_quantity_is_positive CHECK (quantity > 0),
    CONSTRAINT order_items_price_is_not_negative CHECK (unit_price_cents >= 0)
);

CREATE INDEX order_items_of_sku ON order_items (sku);

-- Written in the transaction that writes the order, and first in it: a second delivery of the same message waits at the
-- key until the first is committed, then finds it taken. The reference is checked at commit because the order comes after.
-- The digest tells a repeated request from another one under the same key. Old keys may be deleted, their orders stay.
CREATE TABLE idempotency_keys (
    key text PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE REFERENCES orders (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    request_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_key_is_short CHECK (char_length(key) BETWEEN 1 AND 200),
    CONSTRAINT idempotency_keys_digest_is_whole CHECK (octet_length(request_sha256) = 32)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
