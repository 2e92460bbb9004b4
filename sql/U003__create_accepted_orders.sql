-- Takes the record of waiting and failed orders away; their messages stay in the queues.

DROP TABLE accepted_orders;
