-- orderops: no-transaction

DROP INDEX CONCURRENTLY orders_newest;
