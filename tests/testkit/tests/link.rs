//! The emulated link delays, limits and loses real packets between real namespaces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use varve_testkit::{Link, LinkSettings, Network};

const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

fn udp(link: &Link) -> (UdpSocket, UdpSocket) {
    let near = link.near().enter(|| UdpSocket::bind((link.near().address(), 0)));
    let far = link.far().enter(|| UdpSocket::bind((link.far().address(), 0)));
    let (near, far) = (near.expect("because it exists"), far.expect("because it exists"));
    let (near, far) = (near.expect("because ports are free"), far.expect("because ports are free"));
    near.set_read_timeout(LIMIT).expect("because it is no zero");
    far.set_read_timeout(LIMIT).expect("because it is no zero");
    (near, far)
}

fn tcp(link: &Link) -> (TcpStream, TcpStream) {
    let listener = link.far().enter(|| TcpListener::bind((link.far().address(), 0)));
    let listener = listener.expect("because it exists").expect("because ports are free");
    let address = listener.local_addr().expect("because it is bound");
    let near = link.near().enter(|| TcpStream::connect(address));
    let near = near.expect("because it exists").expect("because the link is up");
    (near, listener.accept().expect("because it is connected").0)
}

#[test]
fn link_delays_datagrams_and_connections() {
    let delay = Duration::from_millis(40);
    let Some(link) = Link::or_skip(LinkSettings { delay, ..LinkSettings::FAR_AWAY }) else { return };
    let (near, far) = udp(&link);
    let address = far.local_addr().expect("because it is bound");
    let start = Instant::now();
    near.send_to(b"ping", address).expect("because there is a route");
    let mut buffer = [0; 10];
    let (length, sender) = far.recv_from(&mut buffer).expect("because nothing gets lost");
    assert!(start.elapsed() >= delay);
    far.send_to(&buffer[..length], sender).expect("because there is a route");
    assert_eq!(near.recv(&mut buffer).expect("because nothing gets lost"), 4);
    assert!(start.elapsed() >= 2 * delay);

    let start = Instant::now();
    let (mut near, mut far) = tcp(&link);
    assert!(start.elapsed() >= 2 * delay, "because a connection needs a round trip");
    near.write_all(b"x").expect("because it is connected");
    far.read_exact(&mut buffer[..1]).expect("because it is connected");
    assert!(start.elapsed() >= 3 * delay);
    assert!(link.there().packets >= 3 && link.back().packets >= 2);
}

#[test]
fn link_limits_the_rate() {
    const LENGTH: usize = 1_000_000;
    let rate = 4_000_000;
    let settings = LinkSettings { delay: Duration::from_millis(1), rate, loss: 0.0, queue: 200_000 };
    let Some(link) = Link::or_skip(settings) else { return };
    let (mut near, mut far) = tcp(&link);
    let start = Instant::now();
    let writer = thread::spawn(move || far.write_all(&vec![7; LENGTH]));
    let mut all = vec![0; LENGTH];
    near.read_exact(&mut all).expect("because it is connected");
    writer.join().expect("because it ends").expect("because it is connected");
    assert!(start.elapsed() >= Duration::from_secs_f64(LENGTH as f64 / rate as f64));
    assert!(link.back().bytes >= LENGTH as u64 && all.iter().all(|&byte| byte == 7));
}

#[test]
fn link_loses_packets() {
    let settings = LinkSettings { delay: Duration::ZERO, rate: 0, loss: 1.0, queue: 1 << 20 };
    let Some(link) = Link::or_skip(settings) else { return };
    let (near, far) = udp(&link);
    let address = far.local_addr().expect("because it is bound");
    let before = link.there().dropped;
    near.send_to(b"ping", address).expect("because there is a route");
    varve_testkit::wait_until("the loss", Duration::from_secs(60), || link.there().dropped > before);
    assert_eq!(link.there().packets, 0);
}

#[test]
fn link_survives_loss_with_tcp() {
    let settings = LinkSettings { delay: Duration::from_millis(1), rate: 0, loss: 0.05, queue: 1 << 20 };
    let Some(link) = Link::or_skip(settings) else { return };
    let (mut near, mut far) = tcp(&link);
    let writer = thread::spawn(move || far.write_all(&vec![7; 300_000]));
    let mut all = vec![0; 300_000];
    near.read_exact(&mut all).expect("because lost packets are sent again");
    writer.join().expect("because it ends").expect("because it is connected");
    assert!(link.back().dropped > 0);
}

#[test]
fn link_runs_commands_on_either_side() {
    let Some(link) = Link::or_skip(LinkSettings::FAR_AWAY) else { return };
    for side in [link.near(), link.far()] {
        let mut command = Command::new("ip");
        command.args(["-4", "-o", "address"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = side.start(&mut command).expect("because ip is there");
        let output = child.wait_with_output().expect("because it is our child");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("{}/24", side.address())), "{text}");
        assert_eq!(text.lines().count(), 2, "because there is nothing but this and loopback: {text}");
    }
    let outside = SocketAddr::from((link.far().address(), 1));
    let refused = link.near().enter(|| TcpStream::connect(outside).is_err());
    assert!(refused.expect("because it exists"), "because nobody listens");
}

#[test]
fn a_network_connects_all_and_its_lines_are_cut_and_restored() {
    let Some(network) = Network::or_skip(3) else { return };
    let socket = |node: usize| {
        let socket = network.node(node).enter(|| UdpSocket::bind((network.node(node).address(), 0)));
        let socket = socket.expect("because it exists").expect("because ports are free");
        socket.set_read_timeout(LIMIT).expect("because it is no zero");
        socket
    };
    let sockets = [socket(0), socket(1), socket(2)];
    let address = |node: usize| sockets[node].local_addr().expect("because it is bound");
    let mut buffer = [0; 10];
    for (from, to) in [(0, 1), (1, 0), (2, 1), (0, 2)] {
        sockets[from].send_to(b"ping", address(to)).expect("because there is a route");
        let (_, sender) = sockets[to].recv_from(&mut buffer).expect("because nothing gets lost");
        assert_eq!(sender, address(from));
    }
    network.change(1, LinkSettings::CUT);
    sockets[0].send_to(b"lost", address(1)).expect("because there is a route");
    sockets[0].send_to(b"here", address(2)).expect("because there is a route");
    sockets[2].recv_from(&mut buffer).expect("because only another line is cut");
    network.change(1, LinkSettings { delay: Duration::from_millis(30), ..LinkSettings::AT_ONCE });
    let start = Instant::now();
    sockets[0].send_to(b"slow", address(1)).expect("because there is a route");
    sockets[1].recv_from(&mut buffer).expect("because the line is restored");
    assert_eq!(&buffer[..4], b"slow");
    assert!(start.elapsed() >= Duration::from_millis(30));
}
