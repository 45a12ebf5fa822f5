//! Documents applied to root directories, and the corpus of every form of user data.

mod apply;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod machine;
