-- Takes the orders away, and every row with them.

DROP TABLE idempotency_keys;
DROP TABLE order_items;
DROP TABLE orders;
