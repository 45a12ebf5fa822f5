//! What goes into a query and what comes out of one.

use super::error::DatabaseError;

/// A value of a parameter or a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A number; a BOOLEAN is 0 or 1.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Integer(_) => "a number",
            Self::Real(_) => "a number with a fraction",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}

macro_rules! into_value {
    ($($kind:ty => |$value:ident| $make:expr;)*) => {
        $(impl From<$kind> for Value {
            fn from($value: $kind) -> Self {
                $make
            }
        })*
    };
}

into_value! {
    i64 => |value| Self::Integer(value);
    i32 => |value| Self::Integer(value.into());
    u32 => |value| Self::Integer(value.into());
    u16 => |value| Self::Integer(value.into());
    bool => |value| Self::Integer(value.into());
    f64 => |value| Self::Real(value);
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    &[u8] => |value| Self::Bytes(value.to_vec());
    Vec<u8> => |value| Self::Bytes(value);
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a query: `values![name, 1, None::<&str>]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::db::Value::from($value)),*] as &[$crate::db::Value]
    };
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// What it is called in a message.
    const WANTED: &'static str;

    /// The value, or what was there instead.
    ///
    /// # Errors
    /// The value itself, if it is something else.
    fn from_value(value: Value) -> Result<Self, Value>;
}

macro_rules! from_value {
    ($($kind:ty, $wanted:literal: $($pattern:pat => $value:expr),*;)*) => {
        $(impl FromValue for $kind {
            const WANTED: &'static str = $wanted;

            fn from_value(value: Value) -> Result<Self, Value> {
                match value {
                    $($pattern => Ok($value),)*
                    other => Err(other),
                }
            }
        })*
    };
}

from_value! {
    i64, "a number": Value::Integer(value) => value;
    bool, "a truth": Value::Integer(value) => value != 0;
    f64, "a number with a fraction": Value::Real(value) => value, Value::Integer(value) => value as Self;
    String, "text": Value::Text(value) => value;
    Vec<u8>, "bytes": Value::Bytes(value) => value;
}

impl<T: FromValue> FromValue for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// One row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    /// The value of a column, counted from 0. It can be taken once: then NULL is there.
    ///
    /// # Errors
    /// [`DatabaseError::Column`] if it is something else, or isn't there.
    pub fn take<T: FromValue>(&mut self, column: usize) -> Result<T, DatabaseError> {
        let value = self.0.get_mut(column).map(|value| std::mem::replace(value, Value::Null));
        let wrong = |found| DatabaseError::Column { column, found, wanted: T::WANTED };
        T::from_value(value.ok_or_else(|| wrong("missing"))?).map_err(|found| wrong(found.kind()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_what_was_asked_for() {
        let mut row = Row(values!["a", 5, true, None::<&str>, 1.5].to_vec());
        assert_eq!(row.take::<String>(0).unwrap(), "a");
        assert_eq!(row.take::<i64>(1).unwrap(), 5);
        assert!(row.take::<bool>(2).unwrap());
        assert_eq!(row.take::<Option<String>>(3).unwrap(), None);
        assert_eq!(
            row.take::<String>(4).unwrap_err().to_string(),
            "column 4 of a row is a number with a fraction, not text"
        );
        assert_eq!(row.take::<i64>(9).unwrap_err().to_string(), "column 9 of a row is missing, not a number");
    }
}
