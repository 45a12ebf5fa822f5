//! What the crate promises, on repositories that CernVM-FS wrote.

<<<<<<< HEAD
mod catalog_index;
mod catalog_rows;
=======
>>>>>>> 99f659b (repository/trust: verify and sign manifests and whitelists)
mod fixture;
mod pkcs7;
mod signing;
mod trust;
