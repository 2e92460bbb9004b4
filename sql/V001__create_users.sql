-- The users of the order processor, with three to look at on a first day.

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO users (name, email) VALUES
    ('Ada Example', 'ada@example.com'),
    ('Bruno Sample', 'bruno@example.com'),
    ('Chiara Placeholder', 'chiara@example.com');
