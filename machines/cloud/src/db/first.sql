CREATE TABLE cloud_settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE cloud_hosts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    token_digest TEXT NOT NULL,
    zone TEXT NOT NULL,
    version TEXT NOT NULL,
    cores BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    taken_cores BIGINT NOT NULL,
    taken_memory BIGINT NOT NULL,
    joined BIGINT NOT NULL,
    heard BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    removed BIGINT
);
CREATE UNIQUE INDEX cloud_hosts_by_token ON cloud_hosts (token_digest);

CREATE TABLE cloud_images (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    location TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    firmware TEXT NOT NULL,
    for_all BOOLEAN NOT NULL,
    created BIGINT NOT NULL,
    deregistered BIGINT
);
CREATE INDEX cloud_images_by_owner ON cloud_images (owner);

CREATE TABLE cloud_key_pairs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (owner, name)
);

CREATE TABLE cloud_instances (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    reservation TEXT NOT NULL,
    launch_index BIGINT NOT NULL,
    image TEXT NOT NULL,
    kind TEXT NOT NULL,
    cores BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    key_name TEXT,
    public_key TEXT,
    state TEXT NOT NULL,
    wanted TEXT NOT NULL,
    reason_code TEXT,
    reason_message TEXT,
    created BIGINT NOT NULL,
    launched BIGINT NOT NULL,
    ended BIGINT,
    host TEXT NOT NULL,
    zone TEXT NOT NULL,
    starts BIGINT NOT NULL,
    restarts BIGINT NOT NULL,
    holds BOOLEAN NOT NULL,
    shutdown_behavior TEXT NOT NULL,
    tokens_required BOOLEAN NOT NULL,
    protected BOOLEAN NOT NULL,
    client_token TEXT,
    ports TEXT NOT NULL,
    user_data BYTEA
);
CREATE INDEX cloud_instances_by_owner ON cloud_instances (owner, created);
CREATE INDEX cloud_instances_by_host ON cloud_instances (host, state);
CREATE INDEX cloud_instances_by_reservation ON cloud_instances (reservation);
CREATE INDEX cloud_instances_by_end ON cloud_instances (ended);

CREATE TABLE cloud_tags (
    resource TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (resource, name)
);
CREATE INDEX cloud_tags_by_owner ON cloud_tags (owner);

CREATE TABLE cloud_requests (
    owner TEXT NOT NULL,
    token TEXT NOT NULL,
    digest TEXT NOT NULL,
    reservation TEXT NOT NULL,
    made BIGINT NOT NULL,
    PRIMARY KEY (owner, token)
);
CREATE INDEX cloud_requests_by_time ON cloud_requests (made);

CREATE TABLE cloud_consoles (
    instance TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    content BYTEA NOT NULL
);

CREATE TABLE cloud_usage (
    owner TEXT PRIMARY KEY,
    instances BIGINT NOT NULL,
    cores BIGINT NOT NULL,
    memory BIGINT NOT NULL
);
