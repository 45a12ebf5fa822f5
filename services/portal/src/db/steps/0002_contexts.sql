CREATE TABLE contexts (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    visibility TEXT NOT NULL,
    template BOOLEAN NOT NULL,
    protected BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    UNIQUE (owner, name)
);
CREATE INDEX contexts_by_visibility ON contexts (visibility, changed);
CREATE TABLE context_versions (
    context TEXT NOT NULL REFERENCES contexts (id),
    number BIGINT NOT NULL,
    content TEXT NOT NULL,
    note TEXT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (context, number)
);
CREATE TABLE context_readers (
    context TEXT NOT NULL REFERENCES contexts (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (context, account)
);
CREATE INDEX context_readers_by_account ON context_readers (account);
