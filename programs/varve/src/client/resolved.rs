//! What settings lead to: servers and proxies with their patience, keys, a revision.

use std::time::Duration;

use varve_repository::{Reference, RepositoryName};
use varve_store::{HttpConfig, ProxyGroups};

use super::settings::{Settings, Sourced};
use super::{ClientError, fill_in};

impl Settings {
    /// How the repository's servers are reached; `None` if none is named.
    ///
    /// # Errors
    /// [`ClientError::Network`] for a malformed list.
    pub(crate) fn http(&self, name: &RepositoryName) -> Result<Option<HttpConfig>, ClientError> {
        let Some(servers) = &self.servers else { return Ok(None) };
        let mut config = self.network("servers", servers, name)?;
        config.proxies = proxies("proxy", self.proxy.as_ref())?.unwrap_or_else(ProxyGroups::direct);
        if let Some(fallback) = proxies("fallback-proxy", self.fallback_proxy.as_ref())? {
            config.proxies = config.proxies.with_fallback(fallback);
        }
        Ok(Some(config))
    }

    /// The same for the content of external files. Their proxies are their own.
    ///
    /// # Errors
    /// As [`Self::http`].
    pub(crate) fn external(&self, name: &RepositoryName) -> Result<Option<HttpConfig>, ClientError> {
        let Some(servers) = &self.external_servers else { return Ok(None) };
        let mut config = self.network("external-servers", servers, name)?;
        if let Some(proxies) = proxies("external-proxy", self.external_proxy.as_ref())? {
            config.proxies = proxies;
        }
        Ok(Some(config))
    }

    /// The revision that is configured.
    pub(crate) fn reference(&self) -> Reference {
        let text = self.revision.as_ref().map_or("", |revision| revision.value.as_str());
        text.parse().unwrap_or_default()
    }

    fn network(
        &self,
        setting: &'static str,
        servers: &Sourced<Vec<String>>,
        name: &RepositoryName,
    ) -> Result<HttpConfig, ClientError> {
        let list: Vec<String> = servers.value.iter().map(|server| fill_in(server, name)).collect();
        let origin = || servers.origin.clone();
        let mut config = HttpConfig::new(&list.join(";"), "").map_err(|source| ClientError::Network {
            setting,
            origin: origin(),
            source,
        })?;
        let seconds = |setting: &Option<Sourced<u64>>, field: &mut Duration| {
            if let Some(seconds) = setting {
                *field = Duration::from_secs(seconds.value);
            }
        };
        // Nothing can be done without any patience.
        seconds(&self.timeout, &mut config.timeout_proxied);
        seconds(&self.timeout_direct, &mut config.timeout_direct);
        config.timeout_proxied = config.timeout_proxied.max(Duration::from_secs(1));
        config.timeout_direct = config.timeout_direct.max(Duration::from_secs(1));
        seconds(&self.backoff, &mut config.backoff);
        seconds(&self.backoff_limit, &mut config.backoff_limit);
        for (setting, field) in
            [(&self.server_reset, &mut config.server_reset), (&self.proxy_reset, &mut config.proxy_reset)]
        {
            seconds(setting, field);
            if field.is_zero() {
                *field = Duration::MAX;
            }
        }
        if let Some(speed) = &self.low_speed {
            config.low_speed = speed.value;
        }
        if let Some(retries) = &self.retries {
            config.retries = retries.value;
        }
        if let Some(redirects) = &self.redirects {
            config.redirects = redirects.value;
        }
        Ok(config)
    }
}

fn proxies(
    setting: &'static str,
    text: Option<&Sourced<String>>,
) -> Result<Option<ProxyGroups>, ClientError> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.value.parse();
    let origin = || text.origin.clone();
    parsed.map(Some).map_err(|source| ClientError::Network { setting, origin: origin(), source })
}
