//! The engine PostgreSQL: connections by name and password or certificate, in TLS where the address asks for it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::engine;
use super::error::{DatabaseError, EngineError, Fault};
use super::location::without_password;
use super::value::{Row, Value};

/// The number of the lock that whoever changes tables holds; chosen once.
const SCHEMA_LOCK: i64 = 0x7661_7276_6500;
/// Statements that are kept ready.
const STATEMENTS: usize = 256;

/// Connects to a server.
pub(super) struct Connector {
    config: Config,
    place: String,
    tls: MakeRustlsConnect,
}

impl Connector {
    pub(super) fn new(address: &str) -> Result<Self, EngineError> {
        let place = without_password(address);
        let unusable = |reason: String| {
            EngineError::lasting(DatabaseError::Unavailable { place: place.clone(), reason })
        };
        let mut config: Config = address.parse().map_err(|error| unusable(chain(&error)))?;
        config.application_name("varve");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(std::time::Duration::from_secs(5));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config, place: place.clone(), tls: MakeRustlsConnect::new(tls) })
    }
}

impl engine::Connector for Connector {
    fn connect(&self) -> Result<Box<dyn engine::Connection>, EngineError> {
        let unavailable = |error: postgres::Error| EngineError {
            error: DatabaseError::Unavailable { place: self.place.clone(), reason: chain(&error) },
            fault: Fault::Lost,
        };
        let client = self.config.connect(self.tls.clone()).map_err(unavailable)?;
        Ok(Box::new(Connection { client, place: self.place.clone(), statements: HashMap::new() }))
    }
}

struct Connection {
    client: Client,
    place: String,
    statements: HashMap<&'static str, Statement>,
}

impl Connection {
    fn failed(&self, error: &postgres::Error) -> EngineError {
        let code = error.code();
        let lost = error.is_closed()
            || self.client.is_closed()
            || code.is_some_and(|code| {
                [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW]
                    .contains(code)
            })
            || (code.is_none() && error.source().is_some_and(|source| source.is::<std::io::Error>()));
        if lost {
            let (place, reason) = (self.place.clone(), chain(error));
            return EngineError { error: DatabaseError::Unavailable { place, reason }, fault: Fault::Lost };
        }
        match code {
            Some(code)
                if *code == SqlState::T_R_SERIALIZATION_FAILURE
                    || *code == SqlState::T_R_DEADLOCK_DETECTED =>
            {
                EngineError { error: DatabaseError::Busy, fault: Fault::Conflict }
            }
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
                let constraint = error.as_db_error().and_then(|error| error.constraint()).unwrap_or_default();
                EngineError::lasting(DatabaseError::Duplicate { constraint: constraint.to_owned() })
            }
            _ => EngineError::lasting(DatabaseError::Refused { reason: chain(error) }),
        }
    }

    fn prepared(&mut self, sql: &'static str) -> Result<Statement, EngineError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(|error| self.failed(&error))?;
        if self.statements.len() < STATEMENTS {
            self.statements.insert(sql, statement.clone());
        }
        Ok(statement)
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl engine::Connection for Connection {
    fn begin(&mut self, writes: bool) -> Result<(), EngineError> {
        self.batch(if writes {
            "BEGIN ISOLATION LEVEL SERIALIZABLE"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        })
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.batch("COMMIT")
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        self.batch("ROLLBACK")
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, EngineError> {
        let statement = self.prepared(sql)?;
        self.client.execute(&statement, &parameters(values)).map_err(|error| self.failed(&error))
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> Result<(), EngineError> {
        let known = self.statements.get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => self.client.prepare(sql).map_err(|error| self.failed(&error))?,
        };
        let mut read = |client: &mut Client| -> Result<(), postgres::Error> {
            let mut rows = client.query_raw(&statement, parameters(values))?;
            while let Some(row) = rows.next()? {
                let value = |column| row.try_get::<_, Value>(column);
                each(Row((0..row.len()).map(value).collect::<Result<_, _>>()?));
            }
            Ok(())
        };
        read(&mut self.client).map_err(|error| self.failed(&error))
    }

    fn batch(&mut self, sql: &str) -> Result<(), EngineError> {
        self.client.batch_execute(sql).map_err(|error| self.failed(&error))
    }

    fn lock_schema(&mut self) -> Result<(), EngineError> {
        let sql = "SELECT pg_advisory_xact_lock($1) IS NULL";
        self.query(sql, &[Value::Integer(SCHEMA_LOCK)], &mut |_| {})
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        let mut names = Vec::new();
        let sql = "SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position";
        self.query(sql, &[Value::from(table)], &mut |mut row| names.extend(row.take::<String>(0)))?;
        Ok(names)
    }

    fn insert(&mut self, sql: &str, values: &[Value]) -> Result<u64, EngineError> {
        self.client.execute(sql, &parameters(values)).map_err(|error| self.failed(&error))
    }

    fn groups(&self) -> bool {
        false
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *kind == Type::BOOL => (*value != 0).to_sql(kind, out),
            Self::Integer(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Integer(value) if *kind == Type::FLOAT8 => (*value as f64).to_sql(kind, out),
            Self::Integer(value) if *kind == Type::INT8 => value.to_sql(kind, out),
            Self::Real(value) if *kind == Type::FLOAT8 => value.to_sql(kind, out),
            Self::Text(value) if <String as ToSql>::accepts(kind) => value.to_sql(kind, out),
            Self::Bytes(value) if *kind == Type::BYTEA => value.to_sql(kind, out),
            other => Err(format!("{} where {kind} should be", other.kind()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::BOOL => Self::Integer(bool::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Self::Bytes(Vec::from_sql(kind, raw)?),
            _ if <String as FromSql<'_>>::accepts(kind) => Self::Text(String::from_sql(kind, raw)?),
            _ => return Err(format!("columns of {kind} are not read").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
