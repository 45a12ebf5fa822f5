//! One client's connection from its first byte to its last: HTTP/1.1, or HTTP/2 where the client begins with it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::access_log::{AccessLogQueue, Record};
use crate::activity::{Activity, TooSlow, Verdict};
use crate::body::Body;
use crate::exchange::{Exchange, ExchangeBody};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::request_body::RequestBody;
use crate::server::Handler;
use crate::shutdown::{Phase, reached};
use crate::stream::WatchedStream;
use crate::tls::{Tls, Transport};

/// What all connections of a server have in common.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<AccessLogQueue>,
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) tls: Option<Tls>,
    pub(crate) open: AtomicUsize,
    pub(crate) http: auto::Builder<TokioExecutor>,
}

/// Which listener a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The usual one, where there is no other for the metrics.
    Only,
    /// The usual one beside another for the metrics.
    Public,
    /// The one for the metrics.
    Metrics,
}

impl Door {
    /// Whether a client may read the metrics. At the only door it must be on this machine, and not speak for somebody else,
    /// as a proxy in front does.
    fn tells_metrics(self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let forwarded =
            ["forwarded", "x-forwarded-for", "via"].iter().any(|name| headers.contains_key(*name));
        match self {
            Self::Only => peer.to_canonical().is_loopback() && !forwarded,
            Self::Public => false,
            Self::Metrics => true,
        }
    }
}

/// The protocol's settings.
pub(crate) fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `Activity` watches over headers and idling: no timer per request is needed.
    builder.http1().header_read_timeout(None).max_buf_size(limits.header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes as u32)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.header);
    builder
}

/// Answers the connection's requests until either side has enough.
pub(crate) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: TcpStream,
    (peer, door): (SocketAddr, Door),
    mut shutdown: watch::Receiver<Phase>,
) {
    let activity = Arc::new(Activity::new());
    let stream = match shared.tls.as_ref().filter(|_| door != Door::Metrics) {
        None => Transport::Plain(stream),
        Some(tls) => match tokio::time::timeout(shared.limits.header, tls.accept(stream)).await {
            Ok(Ok(stream)) => Transport::Encrypted(stream),
            // Whoever speaks something else, or doesn't like the certificate, says so on the other side.
            Ok(Err(_)) => return,
            Err(_) => return shared.metrics.slow_header(),
        },
    };
    let stream = WatchedStream::new(stream, Arc::clone(&activity));
    let http = shared.http.clone();
    let service = {
        let (shared, activity, shutdown) = (Arc::clone(&shared), Arc::clone(&activity), shutdown.clone());
        service_fn(move |request| {
            let shutdown = shutdown.clone();
            answer(Arc::clone(&shared), Arc::clone(&activity), (peer.ip(), door), shutdown, request)
        })
    };
    let mut connection = pin!(http.serve_connection(stream, service));
    let mut look = pin!(tokio::time::sleep(shared.limits.header));
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            // How a connection ends is the client's business; what we failed at was logged where it failed.
            _ = &mut connection => return,
            () = &mut look => {
                let crowded = shared.open.load(Ordering::Relaxed) * 10 > shared.limits.connections * 9;
                match activity.judge(&shared.limits, crowded) {
                    Verdict::Close if closing => return,
                    Verdict::Close => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(soon(Duration::from_secs(1)));
                    }
                    Verdict::Wait(time) => look.as_mut().reset(soon(time)),
                    Verdict::Drop(TooSlow::Header) => return shared.metrics.slow_header(),
                    Verdict::Drop(TooSlow::Reading) => return shared.metrics.slow_reader(),
                }
            }
            () = reached(&mut shutdown, if closing { Phase::Stopping } else { Phase::Draining }) => {
                if *shutdown.borrow() == Phase::Stopping {
                    return;
                }
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer<H: Handler>(
    shared: Arc<Shared<H>>,
    activity: Arc<Activity>,
    (peer, door): (IpAddr, Door),
    shutdown: watch::Receiver<Phase>,
    request: Request<Incoming>,
) -> Result<Response<ExchangeBody>, Infallible> {
    let (request, body) = request.into_parts();
    let record = shared
        .log
        .as_ref()
        .map(|queue| (queue.clone(), Box::new(Record::new(peer, &request, (shared.clock)()))));
    let multiplexed = request.version == http::Version::HTTP_2;
    let exchange = Exchange::begin(activity, Arc::clone(&shared.metrics), multiplexed, record);
    let mut response = match request.method {
        Method::GET | Method::HEAD
            if request.uri.path() == "/metrics" && door.tells_metrics(peer, &request.headers) =>
        {
            metrics(&shared.metrics)
        }
        _ if door == Door::Metrics => nothing_else(),
        _ => {
            let body = RequestBody::new(body, &shared.limits);
            shared.handler.handle(Request::from_parts(request, body), peer).await
        }
    };
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("varve"));
    response.body_mut().end_with(&shutdown);
    let status = response.status();
    Ok(response.map(|body| exchange.answer(status, body)))
}

fn metrics(metrics: &Metrics) -> Response<Body> {
    let mut response = Response::new(Body::whole(metrics.render()));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Where the metrics are, there is nothing else.
fn nothing_else() -> Response<Body> {
    let mut response = Response::new(Body::whole("only GET /metrics is answered here\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn soon(time: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(Instant::now() + time + Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_this_machine_or_a_door_of_their_own() {
        let (plain, mut forwarded) = (HeaderMap::new(), HeaderMap::new());
        forwarded.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        for (peer, local) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::2", false),
        ] {
            let peer: IpAddr = peer.parse().expect("an address");
            assert_eq!(Door::Only.tells_metrics(peer, &plain), local, "{peer}");
            assert!(!Door::Only.tells_metrics(peer, &forwarded), "{peer}");
            assert!(!Door::Public.tells_metrics(peer, &plain), "{peer}");
            assert!(Door::Metrics.tells_metrics(peer, &forwarded), "{peer}");
        }
    }
}
