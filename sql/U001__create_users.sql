-- Takes the users away, and every row with them.

DROP TABLE users;
