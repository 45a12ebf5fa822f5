//! Equipment for tests.
