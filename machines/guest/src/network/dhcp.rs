//! DHCPv4, as a client without an address: discover, offer, request, acknowledgement.
//!
//! The socket is an ordinary one, bound to the card, and servers are asked to answer by broadcast: nothing has to be put
//! together below UDP. What a server says is checked in [`lease_of`], a pure function.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dhcproto::v4::{DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use socket2::{Domain, Protocol, Socket, Type};

use super::interface::Interface;
use super::lease::{Granted, Lease, Route};
use crate::error::GuestError;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The pause before the first repetition; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Leases without a time hold for this long.
const DEFAULT_SECONDS: u32 = 3600;
/// The longest message of a server that is looked at.
const LONGEST_MESSAGE: usize = 4096;
/// No server has a reason to name more.
const MOST_ENTRIES: usize = 32;

/// Asks for an address until one is given, or it is `enough`.
pub(super) fn ask(card: &Interface, until: Instant, enough: impl Fn() -> bool) -> Result<Lease, GuestError> {
    let failed =
        |source| GuestError::Io { action: "ask for an address on", path: card.name.clone().into(), source };
    let socket = open(card).map_err(failed)?;
    let mut pause = FIRST_PAUSE;
    while Instant::now() < until && !enough() {
        let transaction: u32 = rand::random();
        let discover = message(card, transaction, MessageType::Discover);
        let wait = (Instant::now() + pause).min(until);
        if let Some(offer) = exchange(&socket, &discover, MessageType::Offer, wait) {
            let mut request = message(card, transaction, MessageType::Request);
            request.opts_mut().insert(DhcpOption::RequestedIpAddress(offer.yiaddr()));
            if let Some(DhcpOption::ServerIdentifier(server)) = offer.opts().get(OptionCode::ServerIdentifier)
            {
                request.opts_mut().insert(DhcpOption::ServerIdentifier(*server));
            }
            let wait = (Instant::now() + pause).min(until);
            if let Some(lease) =
                exchange(&socket, &request, MessageType::Ack, wait).as_ref().and_then(lease_of)
            {
                return Ok(lease);
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(GuestError::NoNetwork { reason: "no DHCP server answers".to_owned() })
}

/// A socket that hears and speaks on this card alone.
fn open(card: &Interface) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(card.name.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    Ok(socket.into())
}

fn message(card: &Interface, transaction: u32, kind: MessageType) -> Message {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(transaction, nobody, nobody, nobody, nobody, &card.mac_bytes());
    message.set_opcode(Opcode::BootRequest).set_htype(HType::Eth).set_flags(Flags::default().set_broadcast());
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::MaxMessageSize(1472));
    options.insert(DhcpOption::ParameterRequestList(vec![
        OptionCode::SubnetMask,
        OptionCode::ClasslessStaticRoute,
        OptionCode::Router,
        OptionCode::DomainNameServer,
        OptionCode::DomainName,
        OptionCode::DomainSearch,
        OptionCode::Hostname,
        OptionCode::InterfaceMtu,
        OptionCode::NtpServers,
        OptionCode::AddressLeaseTime,
    ]));
    message
}

/// Sends a message, and returns the answer of this kind if one comes in time. A refusal ends the wait.
fn exchange(socket: &UdpSocket, message: &Message, kind: MessageType, until: Instant) -> Option<Message> {
    let to = SocketAddr::from((Ipv4Addr::BROADCAST, SERVER_PORT));
    // A link that isn't there yet refuses to send: the next attempt may be luckier.
    let sent = message.to_vec().ok().map(|bytes| socket.send_to(&bytes, to));
    if !matches!(sent, Some(Ok(_))) {
        std::thread::sleep(Duration::from_millis(50));
        return None;
    }
    let mut buffer = [0; LONGEST_MESSAGE];
    loop {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        socket.set_read_timeout(Some(left)).ok()?;
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let Ok(answer) = Message::decode(&mut Decoder::new(&buffer[..length])) else { continue };
        if answer.xid() != message.xid() || answer.opcode() != Opcode::BootReply {
            continue;
        }
        match answer.opts().msg_type() {
            Some(found) if found == kind => return Some(answer),
            Some(MessageType::Nak) => return None,
            _ => {}
        }
    }
}

/// What an acknowledgement gives, if it is one that can be used.
fn lease_of(message: &Message) -> Option<Lease> {
    let address = message.yiaddr();
    if address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback() {
        return None;
    }
    let option = |code| message.opts().get(code);
    let prefix = match option(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => prefix_of(*mask)?,
        _ => 24,
    };
    let addresses = |code| -> Vec<Ipv4Addr> {
        match option(code) {
            Some(
                DhcpOption::Router(list) | DhcpOption::DomainNameServer(list) | DhcpOption::NtpServers(list),
            ) => list.iter().copied().filter(|ip| !ip.is_unspecified()).take(MOST_ENTRIES).collect(),
            _ => Vec::new(),
        }
    };
    let any = |list: Vec<Ipv4Addr>| list.into_iter().map(IpAddr::V4).collect::<Vec<_>>();
    let mut domains = Vec::new();
    if let Some(DhcpOption::DomainSearch(names)) = option(OptionCode::DomainSearch) {
        domains.extend(names.iter().take(6).map(|name| name.to_utf8()));
    }
    if let Some(DhcpOption::DomainName(name)) = option(OptionCode::DomainName) {
        domains.push(name.clone());
    }
    let domains = domains.into_iter().filter_map(|name| host_name(&name)).collect();
    let text = |code| match option(code) {
        Some(DhcpOption::Hostname(name)) => host_name(name),
        _ => None,
    };
    let mtu = match option(OptionCode::InterfaceMtu) {
        // Less than this IPv4 doesn't allow, and IPv6 needs 1280; servers that say less are wrong.
        Some(DhcpOption::InterfaceMtu(mtu)) if *mtu >= 576 => Some(u32::from(*mtu)),
        _ => None,
    };
    let seconds = match option(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(seconds)) => *seconds,
        _ => DEFAULT_SECONDS,
    };
    let server = match option(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => *server,
        _ => message.siaddr(),
    };
    Some(Lease {
        address: address.into(),
        prefix,
        routes: routes(
            address,
            prefix,
            option(OptionCode::ClasslessStaticRoute),
            &addresses(OptionCode::Router),
        ),
        name_servers: any(addresses(OptionCode::DomainNameServer)),
        domains,
        hostname: text(OptionCode::Hostname),
        mtu,
        time_servers: any(addresses(OptionCode::NtpServers)),
        dhcp: Some(Granted { server, seconds }),
        announced: false,
    })
}

/// Where there are classless routes, the router option doesn't count (RFC 3442). A gateway outside of the card's network gets
/// a route of its own first.
fn routes(address: Ipv4Addr, prefix: u8, classless: Option<&DhcpOption>, routers: &[Ipv4Addr]) -> Vec<Route> {
    let mut wanted: Vec<Route> = match classless {
        Some(DhcpOption::ClasslessStaticRoute(list)) if !list.is_empty() => list
            .iter()
            .take(MOST_ENTRIES)
            .map(|(network, gateway)| Route {
                destination: network.network().into(),
                prefix: network.prefix_len(),
                gateway: (!gateway.is_unspecified()).then_some(IpAddr::V4(*gateway)),
            })
            .collect(),
        _ => routers.first().map(|router| Route::default_over((*router).into())).into_iter().collect(),
    };
    // Routes over no gateway first: gateways of others may be reached by them.
    wanted.sort_by_key(|route| route.gateway.is_some());
    let near = |ip: Ipv4Addr| {
        let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        u32::from(ip) | host == u32::from(address) | host
    };
    let mut routes: Vec<Route> = Vec::new();
    for route in wanted {
        if let Some(IpAddr::V4(gateway)) = route.gateway
            && !near(gateway)
            && !routes.iter().any(|known| known.gateway.is_none() && known.destination == gateway)
        {
            routes.push(Route { destination: gateway.into(), prefix: 32, gateway: None });
        }
        routes.push(route);
    }
    routes
}

/// How many leading bits a mask has; `None` if others are set behind them.
pub(super) fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == u32::MAX)
        .then_some(bits.leading_ones() as u8)
}

/// A name if it is one: it gets into files.
fn host_name(text: &str) -> Option<String> {
    let text = text.trim_matches(['\0', '.', ' ']);
    let fine = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack() -> Message {
        let mut message = Message::default();
        message.set_opcode(Opcode::BootReply).set_yiaddr(Ipv4Addr::new(10, 0, 2, 15));
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(MessageType::Ack));
        options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)));
        options.insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 2, 2)]));
        options.insert(DhcpOption::DomainNameServer(vec![Ipv4Addr::new(10, 0, 2, 3)]));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 2, 2)));
        options.insert(DhcpOption::AddressLeaseTime(86400));
        message
    }

    /// As it goes over the wire.
    fn read(message: &Message) -> Option<Lease> {
        let bytes = message.to_vec().unwrap();
        lease_of(&Message::decode(&mut Decoder::new(&bytes)).unwrap())
    }

    #[test]
    fn a_lease_is_read() {
        let mut message = ack();
        message.opts_mut().insert(DhcpOption::Hostname("vm-1".into()));
        message.opts_mut().insert(DhcpOption::DomainName("example.org; rm".into()));
        message.opts_mut().insert(DhcpOption::InterfaceMtu(1450));
        let lease = read(&message).unwrap();
        assert_eq!(lease.to_string(), "10.0.2.15/24 over 10.0.2.2, by DHCP from 10.0.2.2");
        assert_eq!(lease.hostname.as_deref(), Some("vm-1"));
        assert!(lease.domains.is_empty(), "that is no name");
        assert_eq!(lease.mtu, Some(1450));
        assert_eq!(lease.dhcp.unwrap().seconds, 86400);
    }

    #[test]
    fn a_gateway_elsewhere_gets_a_route_first() {
        let mut message = ack();
        message.opts_mut().insert(DhcpOption::SubnetMask(Ipv4Addr::BROADCAST));
        let lease = read(&message).unwrap();
        assert_eq!(lease.prefix, 32);
        let gateway: IpAddr = Ipv4Addr::new(10, 0, 2, 2).into();
        assert_eq!(
            lease.routes,
            [Route { destination: gateway, prefix: 32, gateway: None }, Route::default_over(gateway)]
        );
    }

    #[test]
    fn classless_routes_replace_the_router() {
        let mut message = ack();
        let net = |text: &str| text.parse().unwrap();
        message.opts_mut().insert(DhcpOption::ClasslessStaticRoute(vec![
            (net("0.0.0.0/0"), Ipv4Addr::new(10, 0, 2, 9)),
            (net("169.254.169.254/32"), Ipv4Addr::UNSPECIFIED),
        ]));
        let lease = read(&message).unwrap();
        assert_eq!(lease.routes.len(), 2);
        assert_eq!(lease.routes[0].gateway, None);
        assert_eq!(lease.routes[1], Route::default_over(Ipv4Addr::new(10, 0, 2, 9).into()));
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for bad in [[0, 0, 0, 0], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1]] {
            let mut message = ack();
            message.set_yiaddr(bad);
            assert_eq!(read(&message), None);
        }
        let mut message = ack();
        message.opts_mut().insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 0, 255, 0)));
        assert_eq!(read(&message), None);
    }
}
