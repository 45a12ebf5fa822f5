//! Records of instances. Every change of a state goes through [`change`], which keeps what their hosts and owners have in
//! use right.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use super::{damaged, hosts, signed, unsigned, usage};
use crate::account::AccountId;
use crate::id::{HostId, InstanceId, ReservationId};
use crate::instance::{Instance, InstanceState, Settled, StateReason};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, owner, reservation, launch_index, image, kind, cores, memory, key_name, state, wanted, reason_code, \
             reason_message, launched, ended, host, zone, starts, restarts, holds, shutdown_behavior, tokens_required, \
             protected, client_token, ports, created FROM cloud_instances ",
            $rest
        )
    };
}

/// What is told to a machine and stays out of every listing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The key that lets in, in OpenSSH's form.
    pub(crate) public_key: Option<String>,
    /// Its user data.
    pub(crate) user_data: Option<Vec<u8>>,
}

/// Writes a new one, which takes up what it holds.
pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    instance: &Instance,
    told: &Told,
) -> Result<(), DatabaseError> {
    let (reason_code, reason_message) = reason(instance.reason.as_ref());
    transaction.execute(
        "INSERT INTO cloud_instances (id, owner, reservation, launch_index, image, kind, cores, memory, key_name, state, wanted, \
         reason_code, reason_message, launched, ended, host, zone, starts, restarts, holds, shutdown_behavior, tokens_required, \
         protected, client_token, ports, public_key, user_data, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)",
        values![
            &instance.id,
            &instance.owner,
            &instance.reservation,
            instance.launch_index,
            &instance.image,
            &instance.kind,
            instance.cores,
            signed(instance.memory),
            instance.key_name.as_deref(),
            instance.state.as_str(),
            instance.wanted.as_str(),
            reason_code,
            reason_message,
            instance.launched,
            instance.ended,
            &instance.host,
            &instance.zone,
            instance.starts,
            instance.restarts,
            instance.holds,
            instance.shutdown_behavior.as_str(),
            instance.tokens_required,
            instance.protected,
            instance.client_token.as_deref(),
            &instance.ports,
            told.public_key.as_deref(),
            told.user_data.clone(),
            instance.created,
        ],
    )?;
    Ok(())
}

/// Those of an owner, oldest first.
pub(crate) fn of_owner(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
) -> Result<Vec<Instance>, DatabaseError> {
    let sql = select!("WHERE owner = $1 ORDER BY created, reservation, launch_index");
    read_all(transaction.query(sql, values![owner])?)
}

/// Those that one request made.
pub(crate) fn of_reservation(
    transaction: &mut Transaction<'_>,
    reservation: &ReservationId,
) -> Result<Vec<Instance>, DatabaseError> {
    let sql = select!("WHERE reservation = $1 ORDER BY launch_index");
    read_all(transaction.query(sql, values![reservation])?)
}

/// Those on a host that are not terminated.
pub(crate) fn on_host(
    transaction: &mut Transaction<'_>,
    host: &HostId,
) -> Result<Vec<Instance>, DatabaseError> {
    let sql =
        select!("WHERE host = $1 AND state <> 'terminated' ORDER BY created, reservation, launch_index");
    read_all(transaction.query(sql, values![host])?)
}

/// One.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    id: &InstanceId,
) -> Result<Option<Instance>, DatabaseError> {
    transaction.query_first(select!("WHERE id = $1"), values![id])?.map(read).transpose()
}

/// What is told to one.
pub(crate) fn told(transaction: &mut Transaction<'_>, id: &InstanceId) -> Result<Told, DatabaseError> {
    let sql = "SELECT public_key, user_data FROM cloud_instances WHERE id = $1";
    match transaction.query_first(sql, values![id])? {
        None => Ok(Told::default()),
        Some(mut row) => Ok(Told { public_key: row.take(0)?, user_data: row.take(1)? }),
    }
}

/// Changes what is told to one.
pub(crate) fn set_user_data(
    transaction: &mut Transaction<'_>,
    id: &InstanceId,
    user_data: Option<&[u8]>,
) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE cloud_instances SET user_data = $2 WHERE id = $1", values![id, user_data])?;
    Ok(())
}

/// Puts the state where it belongs, and gives back or takes what goes with it; `now` in milliseconds since 1970.
pub(crate) fn change(
    transaction: &mut Transaction<'_>,
    instance: &mut Instance,
    settled: Settled,
    now: i64,
) -> Result<(), DatabaseError> {
    let held = instance.holds;
    let was = instance.state;
    (instance.state, instance.wanted, instance.reason) = (settled.state, settled.wanted, settled.reason);
    instance.holds = match settled.state {
        InstanceState::Stopped | InstanceState::Terminated => false,
        InstanceState::Pending | InstanceState::Running => true,
        InstanceState::Stopping | InstanceState::ShuttingDown => held,
    };
    let ends = settled.state == InstanceState::Terminated && was != InstanceState::Terminated;
    if ends {
        instance.ended = Some(now);
    }
    let cores = i64::from(instance.cores) * (i64::from(instance.holds) - i64::from(held));
    let memory = signed(instance.memory) * (i64::from(instance.holds) - i64::from(held));
    if cores != 0 || memory != 0 {
        hosts::take(transaction, &instance.host, cores, memory)?;
    }
    if ends || cores != 0 || memory != 0 {
        usage::add(transaction, &instance.owner, -i64::from(ends), cores, memory)?;
    }
    save(transaction, instance)
}

/// Writes everything of one that can change.
pub(crate) fn save(transaction: &mut Transaction<'_>, instance: &Instance) -> Result<(), DatabaseError> {
    let (reason_code, reason_message) = reason(instance.reason.as_ref());
    transaction.execute(
        "UPDATE cloud_instances SET state = $2, wanted = $3, reason_code = $4, reason_message = $5, launched = $6, ended = $7, \
         starts = $8, restarts = $9, holds = $10, shutdown_behavior = $11, tokens_required = $12, protected = $13, ports = $14, \
         kind = $15, cores = $16, memory = $17 WHERE id = $1",
        values![
            &instance.id,
            instance.state.as_str(),
            instance.wanted.as_str(),
            reason_code,
            reason_message,
            instance.launched,
            instance.ended,
            instance.starts,
            instance.restarts,
            instance.holds,
            instance.shutdown_behavior.as_str(),
            instance.tokens_required,
            instance.protected,
            &instance.ports,
            &instance.kind,
            instance.cores,
            signed(instance.memory),
        ],
    )?;
    Ok(())
}

/// Forgets those that were terminated before a time, with their tags and consoles.
pub(crate) fn forget(transaction: &mut Transaction<'_>, before: i64) -> Result<u64, DatabaseError> {
    let ended = values![before];
    transaction.execute(
        "DELETE FROM cloud_tags WHERE resource IN (SELECT id FROM cloud_instances WHERE ended < $1)",
        ended,
    )?;
    transaction.execute(
        "DELETE FROM cloud_consoles WHERE instance IN (SELECT id FROM cloud_instances WHERE ended < $1)",
        ended,
    )?;
    transaction.execute("DELETE FROM cloud_instances WHERE ended < $1", ended)
}

fn reason(reason: Option<&StateReason>) -> (Option<&str>, Option<&str>) {
    reason.map_or((None, None), |reason| (Some(reason.code.as_str()), Some(reason.message.as_str())))
}

fn read_all(rows: Vec<Row>) -> Result<Vec<Instance>, DatabaseError> {
    rows.into_iter().map(read).collect()
}

fn read(mut row: Row) -> Result<Instance, DatabaseError> {
    let mut text = |column| row.take::<String>(column);
    let word = |what| move |_| damaged(what);
    Ok(Instance {
        id: text(0)?.parse().map_err(|_| damaged("an instance's id"))?,
        owner: AccountId::new(&text(1)?).map_err(|_| damaged("an owner"))?,
        reservation: text(2)?.parse().map_err(|_| damaged("a reservation's id"))?,
        image: text(4)?.parse().map_err(|_| damaged("an image's id"))?,
        kind: text(5)?,
        state: text(9)?.parse().map_err(word("a state"))?,
        wanted: text(10)?.parse().map_err(word("what is wanted"))?,
        host: text(15)?.parse().map_err(|_| damaged("a host's id"))?,
        zone: text(16)?,
        shutdown_behavior: text(20)?.parse().map_err(word("a behaviour"))?,
        ports: text(24)?,
        launch_index: unsigned(row.take(3)?)?,
        cores: unsigned(row.take(6)?)?,
        memory: unsigned(row.take(7)?)?,
        key_name: row.take(8)?,
        reason: match (row.take::<Option<String>>(11)?, row.take::<Option<String>>(12)?) {
            (Some(code), message) => Some(StateReason { code, message: message.unwrap_or_default() }),
            (None, _) => None,
        },
        launched: row.take(13)?,
        ended: row.take(14)?,
        starts: unsigned(row.take(17)?)?,
        restarts: unsigned(row.take(18)?)?,
        holds: row.take(19)?,
        tokens_required: row.take(21)?,
        protected: row.take(22)?,
        client_token: row.take(23)?,
        created: row.take(25)?,
    })
}
