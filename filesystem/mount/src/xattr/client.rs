//! The client itself: its servers, its cache, its counts. Counts of what this client never does are 0.

use super::{Context, Magic, Pages, Shown, one};

pub(super) const GROUP: &[Magic] = &[
    Magic { name: "user.external_host", shown: Shown::Always, value: external_host },
    Magic { name: "user.external_timeout", shown: Shown::Always, value: timeout_direct },
    Magic { name: "user.hitrate", shown: Shown::Always, value: hit_rate },
    Magic { name: "user.host", shown: Shown::Always, value: host },
    Magic { name: "user.host_list", shown: Shown::Always, value: host_list },
    Magic { name: "user.inode_max", shown: Shown::Never, value: largest_inode },
    Magic { name: "user.logbuffer", shown: Shown::Always, value: |_| one("") },
    Magic { name: "user.ncleanup24", shown: Shown::Always, value: |_| one("-1") },
    Magic { name: "user.nclg", shown: Shown::Always, value: catalogs },
    Magic { name: "user.ndiropen", shown: Shown::Always, value: |_| one("0") },
    Magic { name: "user.ndownload", shown: Shown::Always, value: downloads },
    Magic { name: "user.nioerr", shown: Shown::Always, value: errors },
    Magic { name: "user.nopen", shown: Shown::Always, value: |_| one("0") },
    Magic { name: "user.pid", shown: Shown::Never, value: |_| one(std::process::id().to_string()) },
    Magic { name: "user.proxy", shown: Shown::Always, value: proxy },
    Magic { name: "user.proxy_list", shown: Shown::Always, value: proxy_list },
    Magic { name: "user.proxy_list_external", shown: Shown::Always, value: external_proxy_list },
    Magic { name: "user.rx", shown: Shown::Always, value: received },
    Magic { name: "user.speed", shown: Shown::Always, value: |_| one("n/a") },
    Magic { name: "user.timeout", shown: Shown::Always, value: timeout },
    Magic { name: "user.timeout_direct", shown: Shown::Always, value: timeout_direct },
    Magic { name: "user.timestamp_last_ioerr", shown: Shown::Always, value: last_error },
    Magic { name: "user.usedfd", shown: Shown::Always, value: open_objects },
    Magic { name: "user.useddirp", shown: Shown::Always, value: |_| one("0") },
    Magic { name: "user.version", shown: Shown::Always, value: version },
];

fn host(context: &Context<'_>) -> Pages {
    let hosts = &context.attached.mounted.client.hosts;
    one(hosts.first().map_or("internal error: no hosts defined", String::as_str))
}

fn host_list(context: &Context<'_>) -> Pages {
    let hosts = &context.attached.mounted.client.hosts;
    one(if hosts.is_empty() { "internal error: no hosts defined".to_owned() } else { hosts.join(";") })
}

/// Empty if there is none.
fn external_host(context: &Context<'_>) -> Pages {
    let servers = context.attached.mounted.external.as_ref();
    one(servers.map_or_else(String::new, |servers| servers.counters().server))
}

fn external_proxy_list(context: &Context<'_>) -> Pages {
    let servers = context.attached.mounted.external.as_ref();
    let proxies = servers.map(|servers| servers.counters().proxies).unwrap_or_default();
    let lines = proxies.iter().flatten().map(|proxy| format!("{proxy}\n"));
    Ok(Some(super::pages_of("", lines)))
}

fn proxy(context: &Context<'_>) -> Pages {
    one(context.attached.mounted.client.proxies.first().map_or("DIRECT", String::as_str))
}

fn proxy_list(context: &Context<'_>) -> Pages {
    let lines = context.attached.mounted.client.proxies.iter().map(|proxy| format!("{proxy}\n"));
    Ok(Some(super::pages_of("", lines)))
}

fn timeout(context: &Context<'_>) -> Pages {
    one(context.attached.mounted.client.timeout.as_secs().to_string())
}

fn timeout_direct(context: &Context<'_>) -> Pages {
    one(context.attached.mounted.client.timeout_direct.as_secs().to_string())
}

fn version(context: &Context<'_>) -> Pages {
    one(context.attached.mounted.client.version.as_str())
}

fn hit_rate(context: &Context<'_>) -> Pages {
    let counters = context.attached.contents.cache().counters();
    match counters.hits + counters.misses {
        0 => one("n/a"),
        all => one(format!("{:.3}", 100.0 * counters.hits as f64 / all as f64)),
    }
}

fn downloads(context: &Context<'_>) -> Pages {
    one(context.attached.contents.cache().counters().misses.to_string())
}

/// In KiB, of content: what came over the wire is less.
fn received(context: &Context<'_>) -> Pages {
    one((context.attached.contents.cache().counters().bytes_fetched / 1024).to_string())
}

fn catalogs(context: &Context<'_>) -> Pages {
    one(context.tree.inodes.summary().0.to_string())
}

fn largest_inode(context: &Context<'_>) -> Pages {
    one(context.tree.inodes.summary().1.to_string())
}

fn open_objects(context: &Context<'_>) -> Pages {
    one(context.tree.open.len().to_string())
}

fn errors(context: &Context<'_>) -> Pages {
    one(context.attached.errors.get().0.to_string())
}

fn last_error(context: &Context<'_>) -> Pages {
    one(context.attached.errors.get().1.to_string())
}
