//! Which server and which proxy are used: what all requests have learned together ([`Routes`]), and what a single
//! request has tried ([`Trail`]). How a failure is recognized is decided elsewhere.
//!
//! ```text
//!            server_failed(current)                      proxy_failed(current)
//!  server 0 ───────────────────────▶ server 1 …   member ─────────────────────▶ another of its group ─▶ next group …
//!     ▲                                 │            ▲                                                      │
//!     └────────── server_reset ─────────┘            └────────────────────── proxy_reset ───────────────────┘
//! ```
//!
//! A failure changes what all use only if the failing request still used what is current: of a hundred requests that
//! fail together one switches.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::seq::SliceRandom as _;

use super::config::{HttpConfig, Proxy, ServerUrl};

/// A server and a proxy, by their places in the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) server: usize,
    pub(super) proxy: usize,
}

/// The lists, and what is current.
pub(super) struct Routes {
    servers: Vec<ServerUrl>,
    proxies: Vec<Member>,
    server_reset: Duration,
    proxy_reset: Duration,
    state: Mutex<State>,
}

struct Member {
    proxy: Proxy,
    group: usize,
}

struct State {
    current: Route,
    server_since: Instant,
    proxy_since: Instant,
    /// Proxies that have failed since the last reset.
    failed: Vec<bool>,
    failovers: u64,
}

impl Routes {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let proxies: Vec<Member> = config
            .proxies
            .groups()
            .iter()
            .enumerate()
            .flat_map(|(group, members)| {
                members.iter().map(move |proxy| Member { proxy: proxy.clone(), group })
            })
            .collect();
        let now = Instant::now();
        let mut state = State {
            current: Route { server: 0, proxy: 0 },
            server_since: now,
            proxy_since: now,
            failed: vec![false; proxies.len()],
            failovers: 0,
        };
        state.current.proxy = state.pick(&proxies).unwrap_or(0);
        Self {
            servers: config.servers.clone(),
            proxies,
            server_reset: config.server_reset,
            proxy_reset: config.proxy_reset,
            state: Mutex::new(state),
        }
    }

    pub(super) fn servers(&self) -> &[ServerUrl] {
        &self.servers
    }

    pub(super) fn proxies(&self) -> impl ExactSizeIterator<Item = &Proxy> {
        self.proxies.iter().map(|member| &member.proxy)
    }

    pub(super) fn proxy(&self, route: Route) -> &Proxy {
        &self.proxies[route.proxy].proxy
    }

    /// What is used at this moment; first choices come back after their reset times.
    pub(super) fn current(&self) -> Route {
        let mut state = self.state.lock();
        let first_choices = state.current.server == 0 && !state.failed.contains(&true);
        if first_choices {
            return state.current;
        }
        let now = Instant::now();
        if state.current.server != 0 && now.duration_since(state.server_since) >= self.server_reset {
            state.current.server = 0;
        }
        if state.failed.contains(&true) && now.duration_since(state.proxy_since) >= self.proxy_reset {
            state.failed.fill(false);
            state.current.proxy = state.pick(&self.proxies).unwrap_or(0);
        }
        state.current
    }

    /// How often what is current has changed because of a failure.
    pub(super) fn failovers(&self) -> u64 {
        self.state.lock().failovers
    }

    /// Leaves a server, if it is the current one and there is another.
    pub(super) fn server_failed(&self, server: usize) {
        let mut state = self.state.lock();
        if state.current.server == server && self.servers.len() > 1 {
            state.current.server = (server + 1) % self.servers.len();
            state.server_since = Instant::now();
            state.failovers += 1;
            let (from, to) = (&self.servers[server], &self.servers[state.current.server]);
            tracing::warn!(%from, %to, "server failed, using the next");
        }
    }

    /// Leaves a proxy, if it is the current one and there is another.
    pub(super) fn proxy_failed(&self, proxy: usize) {
        let mut state = self.state.lock();
        if state.current.proxy != proxy || self.proxies.len() < 2 {
            return;
        }
        state.failed[proxy] = true;
        if !state.failed.contains(&false) {
            // All have failed: begin again, with any but this one.
            state.failed.fill(false);
            state.failed[proxy] = true;
        }
        state.current.proxy = state.pick(&self.proxies).unwrap_or(proxy);
        state.proxy_since = Instant::now();
        state.failovers += 1;
        let (from, to) = (&self.proxies[proxy].proxy, &self.proxies[state.current.proxy].proxy);
        tracing::warn!(%from, %to, "proxy failed, using another");
    }
}

impl State {
    /// A random proxy of the first group that has one which has not failed.
    fn pick(&self, proxies: &[Member]) -> Option<usize> {
        let sound = |index: &usize| !self.failed[*index];
        let group = (0..proxies.len()).filter(sound).map(|index| proxies[index].group).min()?;
        let members: Vec<usize> =
            (0..proxies.len()).filter(sound).filter(|index| proxies[*index].group == group).collect();
        members.choose(&mut rand::thread_rng()).copied()
    }
}

/// How sure a failure tells whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server, for sure.
    Server,
    /// The proxy, for sure.
    Proxy,
    /// One of the two.
    Either,
}

/// What one request has tried.
pub(super) struct Trail {
    tried: Vec<Route>,
    server_cost: Vec<u32>,
    proxy_cost: Vec<u32>,
    /// Failures that another way may still explain.
    unexplained: Vec<Route>,
}

/// The cost from which a server or proxy is not asked again.
const RULED_OUT: u32 = 1000;
/// What one doubtful failure costs a server; as a rule the proxies are nearer and better kept.
const DOUBTFUL_SERVER: u32 = 4;
const DOUBTFUL_PROXY: u32 = 2;
/// What a later group, or a proxy that failed lately, costs: more than a doubt about the proxy, less than one about the server.
const LATER_GROUP: u32 = 3;

impl Trail {
    pub(super) fn new(routes: &Routes) -> Self {
        Self {
            tried: Vec::new(),
            server_cost: vec![0; routes.servers.len()],
            proxy_cost: vec![0; routes.proxies.len()],
            unexplained: Vec::new(),
        }
    }

    /// The most promising route not tried yet.
    pub(super) fn next(&self, routes: &Routes) -> Option<Route> {
        if self.tried.len() >= routes.servers.len() + routes.proxies.len() + 2 {
            return None;
        }
        let current = routes.current();
        if self.tried.is_empty() && self.server_cost[current.server] < RULED_OUT {
            return Some(current);
        }
        let failed = routes.state.lock().failed.clone();
        let (servers, proxies) = (routes.servers.len(), routes.proxies.len());
        let group = routes.proxies[current.proxy].group;
        (0..servers)
            .flat_map(|server| (0..proxies).map(move |proxy| Route { server, proxy }))
            .filter(|route| !self.tried.contains(route))
            .map(|route| {
                let later =
                    routes.proxies[route.proxy].group.abs_diff(group) as u32 + u32::from(failed[route.proxy]);
                let cost =
                    self.server_cost[route.server] + self.proxy_cost[route.proxy] + LATER_GROUP * later;
                let order = (route.server + servers - current.server) % servers;
                (cost, order, usize::from(route.proxy != current.proxy), route)
            })
            .filter(|(cost, ..)| *cost < RULED_OUT)
            .min_by_key(|(cost, order, other_proxy, _)| (*cost, *order, *other_proxy))
            .map(|(.., route)| route)
    }

    /// Where to ask the same while `route` is silent, without giving it up: through another proxy of its group, else at the
    /// next server.
    pub(super) fn beside(&self, routes: &Routes, route: Route) -> Option<Route> {
        let (servers, proxies) = (routes.servers.len(), routes.proxies.len());
        let state = routes.state.lock();
        let group = routes.proxies[route.proxy].group;
        let through_others = (1..proxies)
            .map(|step| (route.proxy + step) % proxies)
            .filter(|proxy| routes.proxies[*proxy].group == group && !state.failed[*proxy])
            .map(|proxy| Route { proxy, ..route });
        let at_others = (1..servers).map(|step| Route { server: (route.server + step) % servers, ..route });
        through_others.chain(at_others).find(|other| {
            !self.tried.contains(other)
                && self.server_cost[other.server] + self.proxy_cost[other.proxy] < RULED_OUT
        })
    }

    /// Whether something else could be tried if `route` failed, for sharing out the time.
    pub(super) fn has_alternative(&self, routes: &Routes, route: Route) -> bool {
        routes.servers.len() * routes.proxies.len()
            > self.tried.len() + usize::from(!self.tried.contains(&route))
    }

    /// Leaves a server out of this trail.
    pub(super) fn rule_out(&mut self, server: usize) {
        self.server_cost[server] += RULED_OUT;
    }

    /// Notes a failure of this request only.
    pub(super) fn failed(&mut self, route: Route, blame: Blame) {
        self.tried.push(route);
        match blame {
            Blame::Server => self.server_cost[route.server] += RULED_OUT,
            Blame::Proxy => self.proxy_cost[route.proxy] += RULED_OUT,
            Blame::Either => {
                self.server_cost[route.server] += DOUBTFUL_SERVER;
                self.proxy_cost[route.proxy] += DOUBTFUL_PROXY;
                self.unexplained.push(route);
            }
        }
    }

    /// Tells all requests what the success of `route` says about the ways that failed before.
    pub(super) fn succeeded(&self, routes: &Routes, route: Route) {
        for failed in &self.unexplained {
            if failed.server != route.server {
                routes.server_failed(failed.server);
            }
            if failed.proxy != route.proxy {
                routes.proxy_failed(failed.proxy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(servers: &str, proxies: &str) -> Routes {
        Routes::new(&HttpConfig::new(servers, proxies).expect("because the lists are well formed"))
    }

    #[test]
    fn of_many_failures_together_one_switches() {
        let routes = routes("http://a/x;http://b/x;http://c/x", "p:1;q:1");
        for _ in 0..100 {
            routes.server_failed(0);
            routes.proxy_failed(0);
        }
        assert_eq!(routes.current(), Route { server: 1, proxy: 1 });
        assert_eq!(routes.failovers(), 2);
    }

    #[test]
    fn all_members_come_before_the_next_group_and_after_all_the_first() {
        let routes = routes("http://a/x", "p:1|q:1;r:1;DIRECT");
        let first = routes.current().proxy;
        assert!(first < 2);
        routes.proxy_failed(first);
        assert_eq!(routes.current().proxy, 1 - first);
        routes.proxy_failed(1 - first);
        assert_eq!(routes.current().proxy, 2);
        routes.proxy_failed(2);
        assert_eq!(routes.current().proxy, 3);
        routes.proxy_failed(3);
        assert!(routes.current().proxy < 2);
    }

    #[test]
    fn first_choices_come_back() {
        let mut config = HttpConfig::new("http://a/x;http://b/x", "p:1;q:1").expect("well formed");
        (config.server_reset, config.proxy_reset) = (Duration::ZERO, Duration::ZERO);
        let routes = Routes::new(&config);
        routes.server_failed(0);
        routes.proxy_failed(0);
        assert_eq!(routes.current(), Route { server: 0, proxy: 0 });
    }

    #[test]
    fn a_request_goes_on_with_what_is_not_ruled_out() {
        let routes = routes("http://a/x;http://b/x", "p:1;q:1");
        let mut trail = Trail::new(&routes);
        let walk = [
            (Route { server: 0, proxy: 0 }, Blame::Either),
            (Route { server: 1, proxy: 0 }, Blame::Proxy),
            (Route { server: 1, proxy: 1 }, Blame::Server),
            (Route { server: 0, proxy: 1 }, Blame::Server),
        ];
        for (route, blame) in walk {
            assert_eq!(trail.next(&routes), Some(route));
            trail.failed(route, blame);
        }
        assert_eq!(trail.next(&routes), None);
    }

    #[test]
    fn beside_a_route_is_another_proxy_of_its_group_or_else_the_next_server() {
        let beside = |servers, proxies, server, proxy| {
            let routes = routes(servers, proxies);
            Trail::new(&routes).beside(&routes, Route { server, proxy })
        };
        let (one, three) = ("http://a/x", "http://a/x;http://b/x;http://c/x");
        assert_eq!(beside(three, "p:1|q:1;r:1", 1, 0), Some(Route { server: 1, proxy: 1 }));
        assert_eq!(beside(three, "p:1|q:1;r:1", 1, 1), Some(Route { server: 1, proxy: 0 }));
        assert_eq!(beside(three, "p:1|q:1;r:1", 1, 2), Some(Route { server: 2, proxy: 2 }));
        assert_eq!(beside(three, "DIRECT", 2, 0), Some(Route { server: 0, proxy: 0 }));
        // Another group, which may be no proxy at all, is for when this one has failed.
        assert_eq!(beside(one, "p:1;DIRECT", 0, 0), None);
        assert_eq!(beside(one, "DIRECT", 0, 0), None);
    }

    #[test]
    fn beside_a_route_is_nothing_that_failed() {
        let routes = routes("http://a/x;http://b/x;http://c/x", "p:1|q:1");
        let route = routes.current();
        let other = Route { server: 0, proxy: 1 - route.proxy };
        let mut trail = Trail::new(&routes);
        assert_eq!(trail.beside(&routes, route), Some(other));
        trail.failed(other, Blame::Proxy);
        trail.rule_out(1);
        assert_eq!(trail.beside(&routes, route), Some(Route { server: 2, ..route }));
        // What failed for all is not asked either.
        routes.proxy_failed(route.proxy);
        assert_eq!(Trail::new(&routes).beside(&routes, other), Some(Route { server: 1, ..other }));
    }

    #[test]
    fn a_success_explains_the_failures_before() {
        let routes = routes("http://a/x;http://b/x", "p:1;q:1");
        let mut trail = Trail::new(&routes);
        trail.failed(Route { server: 0, proxy: 0 }, Blame::Either);
        trail.succeeded(&routes, Route { server: 1, proxy: 0 });
        assert_eq!(routes.current(), Route { server: 1, proxy: 0 });
    }
}
