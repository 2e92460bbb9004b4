-- The pages of GET /orders, newest first.
-- orders are written all the time: an index built at once would keep them out meanwhile.
-- orderops: no-transaction

CREATE INDEX CONCURRENTLY orders_newest ON orders (placed_at DESC, id DESC);
