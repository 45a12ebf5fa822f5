//! The HTTP clients of the library: one per proxy, each with its own pool of connections.

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use super::config::{HttpConfig, HttpConfigError, Proxy};

/// Whether anything on the way is encrypted.
pub(super) fn is_encrypted(config: &HttpConfig, proxies: &[Proxy]) -> bool {
    config.servers.iter().any(|server| server.as_str().starts_with("https:"))
        || proxies.iter().any(|proxy| matches!(proxy, Proxy::Through(url) if url.starts_with("https:")))
}

/// One client for each proxy.
pub(super) fn build(config: &HttpConfig, proxies: &[Proxy]) -> Result<Vec<Client>, HttpConfigError> {
    // Fails if the program has chosen a provider already, which is as good.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let encrypted = is_encrypted(config, proxies);
    let mut roots = Vec::new();
    for pem in &config.root_certificates {
        roots.extend(Certificate::from_pem_bundle(pem).map_err(client_error)?);
    }
    proxies.iter().map(|proxy| build_one(config, proxy, &roots, encrypted)).collect()
}

fn build_one(
    config: &HttpConfig,
    proxy: &Proxy,
    roots: &[Certificate],
    encrypted: bool,
) -> Result<Client, HttpConfigError> {
    let redirects = if config.redirects == 0 { Policy::none() } else { Policy::limited(config.redirects) };
    let builder =
        Client::builder().user_agent(&config.user_agent).redirect(redirects).referer(false).tcp_nodelay(true);
    #[cfg(feature = "http2")]
    let builder = builder.http2_adaptive_window(true);
    let builder = match proxy {
        Proxy::Direct => builder.no_proxy().connect_timeout(config.timeout_direct),
        Proxy::Through(url) => builder
            .proxy(reqwest::Proxy::all(url).map_err(client_error)?)
            .connect_timeout(config.timeout_proxied),
    };
    // The system's certificates take time to load and may be missing where nothing is encrypted.
    let builder = if encrypted {
        builder.tls_certs_merge(roots.iter().cloned())
    } else {
        builder.tls_certs_only(roots.iter().cloned())
    };
    builder.build().map_err(client_error)
}

// By value, as `map_err` passes it.
#[allow(clippy::needless_pass_by_value)]
fn client_error(error: reqwest::Error) -> HttpConfigError {
    HttpConfigError::Client { reason: super::exchange::reason(&error) }
}
