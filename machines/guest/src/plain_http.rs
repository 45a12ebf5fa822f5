//! The HTTP of small questions: to metadata servers, and for the time. Nothing of it is believed for more than that, and
//! nothing of it is encrypted: neither has a name that a certificate could be for.

use reqwest::{Client, ClientBuilder};

/// What such clients have in common: no redirects, no certificates. Proxies are the caller's.
pub(crate) fn client() -> ClientBuilder {
    // The library wants to have one even for what it never encrypts; another one that was chosen before is as good.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([])
}
