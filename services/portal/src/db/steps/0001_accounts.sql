CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    created BIGINT NOT NULL
);
CREATE TABLE sessions (
    token TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account);
CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    secret TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT,
    used BIGINT
);
CREATE INDEX api_tokens_by_account ON api_tokens (account);
CREATE TABLE invitations (
    secret TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE TABLE audit (
    time BIGINT NOT NULL,
    id TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    PRIMARY KEY (time, id)
);
CREATE INDEX audit_by_actor ON audit (actor, time);
