//! What CERN's modules added to cloud-config: `cvmfs`, `condor`, `ganglia`.

use crate::document::Document;
use crate::sections::htcondor::Role;
use crate::sections::monitoring::Ganglia;
use crate::text::{Line, RepositoryName, VariableName, Word};
use crate::value::Value;
use crate::value::fields::{Fields, checked, text};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    cvmfs(fields, document);
    condor(fields, document);
    ganglia(fields, document);
}

fn cvmfs(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("cvmfs") else { return };
    let Some(mut inner) = Fields::of(node, "cvmfs", fields.notices) else { return };
    let repositories = &mut document.repositories;
    inner.without_meaning(&["install", "version", "el"], "the client is there already");
    if let Some(node) = inner.take("domain")
        && let Some(mut domain) = Fields::of(node, "domain", inner.notices)
    {
        let servers = domain.text("server").unwrap_or_default();
        for server in servers
            .split([';', ','])
            .map(|server| server.trim().trim_matches('"'))
            .filter(|server| !server.is_empty())
        {
            let server = if server.contains("://") {
                server.to_owned()
            } else {
                format!("http://{server}/cvmfs/@fqrn@")
            };
            let place = domain.place;
            repositories.servers.extend(checked::<Word>(&server, place, "server", domain.notices));
        }
        domain.finish();
    }
    if let Some(node) = inner.take("local")
        && let Some(mut local) = Fields::of(node, "local", inner.notices)
    {
        let place = local.place;
        let domain = local.text("default-domain").unwrap_or_else(|| "cern.ch".to_owned());
        for name in local.words("repositories") {
            let name = if name.contains('.') { name } else { format!("{name}.{domain}") };
            if let Some(name) = checked::<RepositoryName>(&name, place, "repositories", local.notices) {
                repositories.named(name);
            }
        }
        repositories.cache = local.checked("cache-base");
        if let Some(proxy) = local.text("http-proxy") {
            let proxy = proxy.trim().trim_matches(['"', '\'']);
            repositories.proxy = checked::<Line>(proxy, place, "http-proxy", local.notices);
        }
        if let Some(quota) = local.number::<u32>("quota-limit") {
            repositories.cache_quota = Word::parse(format!("{quota}MiB")).ok();
        }
        if let (Some(site), Ok(name)) =
            (local.checked::<Line>("cms-local-site"), VariableName::parse("CMS_LOCAL_SITE"))
        {
            document.environment.0.insert(name, site);
        }
        local.without_meaning(&["strict-mount"], "only the repositories that are named are mounted");
        local.finish();
    }
    inner.finish();
}

fn condor(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("condor") else { return };
    let Some(mut inner) = Fields::of(node, "condor", fields.notices) else { return };
    let condor = &mut document.htcondor;
    let (master, worker) = (inner.take("master"), inner.take("workernode"));
    let (role, node) = match (master, worker) {
        (Some(node), None) => (Role::Head, node),
        (None, Some(node)) => (Role::Worker, node),
        _ => {
            let place = inner.place;
            inner.notices.error(place, "condor: either master or workernode");
            return inner.finish();
        }
    };
    condor.roles = if role == Role::Head { vec![Role::Head, Role::Submit] } else { vec![role] };
    if let Some(mut part) = Fields::of(node, "condor", inner.notices) {
        condor.head = part.checked("condor-host");
        condor.administrator = part.checked("condor-admin");
        condor.uid_domain = part.checked("uid-domain");
        condor.allow_write = part.checked("allow-write");
        condor.high_port = part.number("highport");
        condor.low_port = part.number("lowport");
        let settings = [
            ("collector-host-port", "COLLECTOR_HOST"),
            ("daemon-list", "DAEMON_LIST"),
            ("release-dir", "RELEASE_DIR"),
            ("local-dir", "LOCAL_DIR"),
            ("queue-super-users", "QUEUE_SUPER_USERS"),
            ("dedicated-execute-account-regexp", "DEDICATED_EXECUTE_ACCOUNT_REGEXP"),
            ("allow-daemon", "ALLOW_DAEMON"),
            ("starter-allow-runas-owner", "STARTER_ALLOW_RUNAS_OWNER"),
            ("java", "JAVA"),
            ("user-job-wrapper", "USER_JOB_WRAPPER"),
            ("gsi-daemon-directory", "GSI_DAEMON_DIRECTORY"),
        ];
        for (key, name) in settings {
            if let (Some(value), Ok(name)) = (part.checked::<Line>(key), VariableName::parse(name)) {
                condor.settings.insert(name, value);
            }
        }
        part.finish();
    }
    inner.finish();
}

fn ganglia(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("ganglia") else { return };
    let Some(mut inner) = Fields::of(node, "ganglia", fields.notices) else { return };
    inner.without_meaning(&["install"], "name the package under packages");
    let Some(node) = inner.take_any(&["nodes", "headnode"]) else {
        let place = inner.place;
        inner.notices.error(place, "ganglia: either nodes or headnode");
        return inner.finish();
    };
    let mut ganglia = Ganglia::default();
    if let Some(mut part) = Fields::of(node, "ganglia", inner.notices) {
        if let Some(node) = part.take("cluster")
            && let Some(mut cluster) = Fields::of(node, "cluster", part.notices)
        {
            ganglia.name = cluster.checked("name");
            ganglia.owner = cluster.checked("owner");
            ganglia.latlong = cluster.checked("latlong");
            ganglia.url = cluster.checked("url");
            cluster.finish();
        }
        if let Some(node) = part.take("udpSendChannel")
            && let Some(mut send) = Fields::of(node, "udpSendChannel", part.notices)
        {
            ganglia.host = send.checked("host");
            ganglia.port = send.number("port");
            ganglia.ttl = send.number("ttl");
            let _ = send.text("mcast_join");
            send.finish();
        }
        if let Some(Value::Map(host)) = part.take("host").map(|node| &node.value) {
            let location = host.iter().find(|(key, _)| key.name == "location");
            ganglia.location = location
                .and_then(|(_, node)| text(node, "location", part.notices))
                .and_then(|text| Line::parse(text).ok());
        }
        part.without_meaning(
            &["globals", "udpRecvChannel", "tcpAcceptChannel", "source", "polling", "address", "port"],
            "the usual settings are used",
        );
        part.finish();
    }
    document.monitoring.ganglia = Some(ganglia);
    inner.finish();
}
