//! Scenarios over the real program, one file each in `scenarios/`.

#[path = "scenarios/announced.rs"]
mod announced;
#[path = "scenarios/bundles.rs"]
mod bundles;
#[path = "scenarios/collecting.rs"]
mod collecting;
#[path = "scenarios/configured.rs"]
mod configured;
#[path = "scenarios/containers.rs"]
mod containers;
#[path = "scenarios/documentation.rs"]
mod documentation;
#[path = "scenarios/elsewhere.rs"]
mod elsewhere;
#[path = "scenarios/ended.rs"]
mod ended;
#[path = "scenarios/environments.rs"]
mod environments;
#[path = "scenarios/filling.rs"]
mod filling;
#[path = "scenarios/fixtures.rs"]
mod fixtures;
#[path = "scenarios/forks.rs"]
mod forks;
#[path = "scenarios/hostile.rs"]
mod hostile;
#[path = "scenarios/images.rs"]
mod images;
#[path = "scenarios/ingest.rs"]
mod ingest;
#[path = "scenarios/killed.rs"]
mod killed;
#[path = "scenarios/limited.rs"]
mod limited;
#[path = "scenarios/model.rs"]
mod model;
#[path = "scenarios/mounting.rs"]
mod mounting;
#[path = "scenarios/quota.rs"]
mod quota;
#[path = "scenarios/replicating.rs"]
mod replicating;
#[path = "scenarios/republish.rs"]
mod republish;
#[path = "scenarios/sandboxes.rs"]
mod sandboxes;
#[path = "scenarios/shells.rs"]
mod shells;
#[path = "scenarios/slurm.rs"]
mod slurm;
#[path = "scenarios/squid.rs"]
mod squid;
#[path = "scenarios/storage.rs"]
mod storage;
#[path = "scenarios/systems.rs"]
mod systems;
#[path = "scenarios/takeover.rs"]
mod takeover;
#[path = "scenarios/tampering.rs"]
mod tampering;
#[path = "scenarios/terminals.rs"]
mod terminals;
#[path = "scenarios/transactions.rs"]
mod transactions;
#[path = "scenarios/unreliable.rs"]
mod unreliable;
#[path = "scenarios/vm.rs"]
mod vm;
