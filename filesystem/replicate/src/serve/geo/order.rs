//! Who is nearest: the question as it stands in an address, and the order that answers it. Pure.

/// The most servers and proxies of one question.
const MOST: usize = 64;

/// The longest name of a host.
const LONGEST_NAME: usize = 253;

/// What stands between servers and the proxies that are the way to them.
const SEPARATOR: &str = "+PXYSEP+";

/// A place on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

/// Who asks for the order of whom.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    /// The name or address of who asks, or of the proxy that it goes through; or anything, for caches to tell clients apart.
    pub(crate) client: &'a str,
    /// Names or addresses.
    pub(crate) servers: Vec<&'a str>,
    /// Proxies on the way: the nearest of them is where the distance to servers counts from.
    pub(crate) proxies: Option<Vec<&'a str>>,
}

impl<'a> Question<'a> {
    /// Reads what follows `api/v1.0/geo/`: `CLIENT/HOST,HOST,…`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (client, hosts) = text.split_once('/')?;
        let hosts: Vec<&str> = hosts.split(',').collect();
        let sound = |host: &&str| *host == SEPARATOR || is_host(host);
        if client.is_empty() || client.len() > LONGEST_NAME || hosts.len() > MOST || !hosts.iter().all(sound)
        {
            return None;
        }
        let mut lists = hosts.split(|host| *host == SEPARATOR);
        let (servers, proxies) = (lists.next()?.to_vec(), lists.next().map(<[&str]>::to_vec));
        lists.next().is_none().then_some(Self { client, servers, proxies })
    }
}

/// Whether a text may be a host's name or address.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// The order of everything in the question, counted from 1, when the places of servers and proxies are these.
pub(crate) fn order(
    client: Point,
    servers: &[Option<Point>],
    proxies: Option<&[Option<Point>]>,
) -> Vec<usize> {
    let Some(proxies) = proxies else { return sorted(client, servers).map(|at| at + 1).collect() };
    let near: Vec<usize> = sorted(client, proxies).collect();
    let from = near.first().and_then(|nearest| proxies[*nearest]).unwrap_or(client);
    let mut order: Vec<usize> = sorted(from, servers).map(|at| at + 1).collect();
    order.extend(near.into_iter().map(|at| servers.len() + at + 2));
    // The separator is counted too.
    order.push(servers.len() + 1);
    order
}

/// Nearest first; who is nowhere known comes last, in the order of the question.
fn sorted(from: Point, places: &[Option<Point>]) -> impl Iterator<Item = usize> {
    let distance = |place: &Option<Point>| place.map_or(f64::INFINITY, |place| from.distance(place));
    let mut order: Vec<(usize, f64)> = places.iter().map(distance).enumerate().collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    order.into_iter().map(|(at, _)| at)
}

impl Point {
    /// Along a great circle, in radians (haversine formula).
    fn distance(self, other: Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let longitudes = (other.longitude - self.longitude).to_radians();
        let square = half(b - a) + a.cos() * b.cos() * half(longitudes);
        2.0 * square.clamp(0.0, 1.0).sqrt().asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENEVA: Point = Point { latitude: 46.2, longitude: 6.1 };
    const OXFORD: Point = Point { latitude: 51.7, longitude: -1.3 };
    const CHICAGO: Point = Point { latitude: 41.9, longitude: -87.6 };
    const TAIPEI: Point = Point { latitude: 25.0, longitude: 121.5 };
    const FIJI: Point = Point { latitude: -17.8, longitude: 178.0 };
    const SAMOA: Point = Point { latitude: -13.8, longitude: -172.0 };

    #[test]
    fn the_nearest_comes_first_and_the_unknown_last() {
        let servers = [None, Some(CHICAGO), Some(GENEVA), None, Some(TAIPEI)];
        assert_eq!(order(OXFORD, &servers, None), [3, 2, 5, 1, 4]);
        assert_eq!(order(TAIPEI, &servers, None), [5, 3, 2, 1, 4]);
        assert_eq!(order(GENEVA, &[None, None, None], None), [1, 2, 3]);
        assert_eq!(order(GENEVA, &[], None), [0; 0]);
    }

    #[test]
    fn the_date_line_is_no_border() {
        assert_eq!(order(FIJI, &[Some(TAIPEI), Some(SAMOA)], None), [2, 1]);
        assert!((GENEVA.distance(OXFORD) * 6371.0 - 810.0).abs() < 20.0);
    }

    #[test]
    fn proxies_are_where_the_distance_counts_from() {
        let (servers, proxies) = ([Some(GENEVA), Some(CHICAGO)], [Some(GENEVA), Some(CHICAGO)]);
        assert_eq!(order(OXFORD, &servers, Some(&proxies)), [1, 2, 4, 5, 3]);
        assert_eq!(order(CHICAGO, &servers, Some(&proxies)), [2, 1, 5, 4, 3]);
        assert_eq!(order(CHICAGO, &servers, Some(&[None])), [2, 1, 4, 3]);
    }

    #[test]
    fn questions_are_read() {
        let question = Question::parse("proxy.example.org/a.org,10.0.0.1,[::1]").expect("well formed");
        assert_eq!(question.servers, ["a.org", "10.0.0.1", "[::1]"]);
        assert_eq!((question.client, question.proxies), ("proxy.example.org", None));
        let question = Question::parse("x/a,b,+PXYSEP+,p").expect("well formed");
        assert_eq!((question.servers, question.proxies), (vec!["a", "b"], Some(vec!["p"])));
        let many = format!("x/{}", vec!["a"; MOST + 1].join(","));
        let long = format!("x/{}", "a".repeat(LONGEST_NAME + 1));
        for bad in ["", "x", "x/", "/a", "x/a,,b", "x/a b", "x/a/b", "x/+PXYSEP+,a,+PXYSEP+,b", &many, &long]
        {
            assert_eq!(Question::parse(bad).filter(|question| question.servers != [""; 0]), None, "{bad}");
        }
    }
}
