CREATE TABLE pairings (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL UNIQUE,
    pin TEXT NOT NULL UNIQUE,
    machine_key TEXT NOT NULL,
    facts TEXT NOT NULL,
    address TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL,
    account TEXT,
    context TEXT,
    version BIGINT,
    sealed TEXT,
    decided BIGINT
);
CREATE INDEX pairings_by_account ON pairings (account, decided);
CREATE INDEX pairings_by_decision ON pairings (decided);
CREATE INDEX pairings_by_end ON pairings (expires);
